// The token stays in this page's memory: it is gone with the tab.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#reference",
  layout: "BaseLayout",
  validatorUrl: null, // the default is a service elsewhere
  persistAuthorization: false,
  withCredentials: true, // where a proxy authenticates, its cookie says who calls
  displayRequestDuration: true,
  tryItOutEnabled: true,
  filter: false,
});
