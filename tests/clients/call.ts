// Asks a service through openapi-fetch, typed by what openapi-typescript made of its document.
import { readFile } from "node:fs/promises";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

const [url, image] = process.argv.slice(2) as [string, string];
const client = createClient<paths>({ baseUrl: url });
const white = new File([await readFile(image)], "image.png", { type: "image/png" });

// Files are strings in the document; a form is built by hand, and its parts are checked by their types.
type PredictForm = NonNullable<
  NonNullable<paths["/v1/predict"]["post"]["requestBody"]>["content"]["multipart/form-data"]
>;
type Media = { [name in keyof PredictForm]?: string | Blob };

function form(parts: Record<string, string | Blob>): FormData {
  const made = new FormData();
  for (const [name, part] of Object.entries(parts)) made.append(name, part);
  return made;
}

function predict(media: Media) {
  return client.POST("/v1/predict", {
    params: { query: { top_k: 1, attention: "full" } },
    body: {},
    bodySerializer: () => form(media as Record<string, string | Blob>),
  });
}

const served = await client.GET("/v1/models");
const { data, error } = await predict({ text: "seven", image: white });
if (!data || error || !served.data) throw new Error(JSON.stringify(error ?? served.error));
const kind = data.predictions["kind"];
if (kind?.type !== "classification" || !kind.attention?.modalities) throw new Error(JSON.stringify(kind));
console.log(served.data.default, kind.label, kind.top.length);

const refused = await predict({ image: new File(["noise"], "image.png") });
const problem: components["schemas"]["Problem"] | undefined = refused.error;
console.log(problem?.status, problem?.field);

const rows = '{"text": "seven"}\n{"image": "a"}\n{"image": "b"}\n';
const many = await client.POST("/v1/predict/batch", {
  body: { rows },
  bodySerializer: ({ rows }) => form({ rows, a: white }),
});
for (const row of many.data?.answers ?? []) console.log(row.row, row.problem?.status ?? 200);
