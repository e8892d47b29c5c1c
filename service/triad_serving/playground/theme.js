// A classic script, so that it runs before the first paint and a chosen theme does not flash.
try {
  document.documentElement.dataset.theme = localStorage.getItem("triad.theme") ?? "auto";
} catch {
  document.documentElement.dataset.theme = "auto"; // storage is blocked: the system's theme
}
