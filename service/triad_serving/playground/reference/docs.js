SwaggerUIBundle({
  url: "openapi.json",
  domNode: document.getElementById("swagger-ui"),
  deepLinking: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  persistAuthorization: true, // a key is typed once, also where a gateway in front asks for it
  validatorUrl: null, // a web service
});
