Redoc.init("openapi.json", { hideDownloadButtons: false, expandResponses: "200" }, document.getElementById("redoc"));
