// The request that was just answered, as code. File names are those of the media: samples and drawings can be saved.

import { apiKey, query } from "../service.js";

const address = (options) => new URL(`v1/predict?${query(options)}`, document.baseURI).href;

export const SNIPPETS = {
  curl({ text, image, audio, fields }, options) {
    const quote = (word) => `'${word.replaceAll("'", `'\\''`)}'`;
    return ["curl",
      ...(apiKey() ? ['-H "Authorization: Bearer $TRIAD_KEY"'] : []),
      ...(text ? [`--form-string ${quote(`text=${text}`)}`] : []), // -F would read a file named by @ or <
      ...(image ? [`-F ${quote(`image=@${image.name}`)}`] : []),
      ...(audio ? [`-F ${quote(`audio=@${audio.name}`)}`] : []),
      // The JSON must not have a semicolon: for -F the value would end there.
      ...(fields ? [`-F ${quote(`fields=${JSON.stringify(fields).replaceAll(";", "\\u003b")};type=application/json`)}`] : []),
      quote(address(options)),
    ].join(" \\\n  ");
  },

  python({ text, image, audio, fields }, options) {
    const file = (medium) => `    ${JSON.stringify(medium[0])}: open(${JSON.stringify(medium[1].name)}, "rb"),`;
    const json = (value) => `(None, json.dumps(${JSON.stringify(value)}), "application/json")`;
    const headers = apiKey() ? `headers={"Authorization": f"Bearer {os.environ['TRIAD_KEY']}"}, ` : "";
    const modules = [...(fields ? ["import json"] : []), ...(headers ? ["import os"] : [])];
    return [...modules, ...(modules.length ? [""] : []), "import httpx", "", "files = {",
      ...(text ? [`    "text": (None, ${JSON.stringify(text)}),`] : []),
      ...(image ? [file(["image", image])] : []),
      ...(audio ? [file(["audio", audio])] : []),
      ...(fields ? [`    "fields": ${json(fields)},`] : []),
      "}",
      `response = httpx.post(${JSON.stringify(address(options))}, files=files, ${headers}timeout=30)`,
      "response.raise_for_status()",
      "print(response.json())",
    ].join("\n");
  },

  javascript({ text, image, audio, fields }, options) {
    const file = (name, { name: path }) => `form.append("${name}", await openAsBlob(${JSON.stringify(path)}), ${JSON.stringify(path)});`;
    const headers = apiKey() ? "headers: { Authorization: `Bearer ${process.env.TRIAD_KEY}` }, " : "";
    return [
      ...(image || audio ? ['import { openAsBlob } from "node:fs"; // in a page: the files of an <input>', ""] : []),
      "const form = new FormData();",
      ...(text ? [`form.append("text", ${JSON.stringify(text)});`] : []),
      ...(image ? [file("image", image)] : []),
      ...(audio ? [file("audio", audio)] : []),
      ...(fields ? [`form.append("fields", new Blob([JSON.stringify(${JSON.stringify(fields)})], { type: "application/json" }));`] : []),
      `const response = await fetch(${JSON.stringify(address(options))}, { method: "POST", ${headers}body: form });`,
      "console.log(await response.json());",
    ].join("\n");
  },
};
