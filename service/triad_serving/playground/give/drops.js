// Files dropped anywhere on the page, and what is pasted: each goes where its kind belongs.

const MEDIA_OF_FILES = ["text", "image", "audio"];

/** take(medium, file): medium is text, image or audio. */
export function acceptFiles(take) {
  const over = (is) => document.body.classList.toggle("dropping", is);
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    over(true);
  });
  document.addEventListener("dragleave", (event) => { if (event.relatedTarget === null) over(false); });
  document.addEventListener("drop", (event) => {
    over(false);
    if (event.dataTransfer.files.length === 0) return;
    event.preventDefault();
    const card = event.target.closest("[data-medium]")?.dataset.medium;
    for (const file of event.dataTransfer.files) take(mediumOf(file, card), file);
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length === 0) return; // text: the field takes it by itself
    event.preventDefault();
    for (const file of event.clipboardData.files) take(mediumOf(file), file);
  });
}

/** card: the medium of the card under the pointer, for files whose kind nobody knows. */
function mediumOf({ type }, card = "image") {
  const kind = type.split("/")[0];
  if (kind === "video") return "audio"; // WebM and MP4 with nothing but sound call themselves so
  const wanted = MEDIA_OF_FILES.includes(kind) ? kind : card;
  return MEDIA_OF_FILES.includes(wanted) ? wanted : "image";
}
