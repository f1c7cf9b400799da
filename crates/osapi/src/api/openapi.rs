//! What the API says about itself: OpenAPI 3.1, made of the handlers' own descriptions.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, PathItem};
use utoipa::openapi::response::{Response as Answer, ResponseBuilder};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref,
};
use utoipa::{PartialSchema, ToSchema};

use super::problem::Problem;
use super::state::ApiState;
use crate::access::Permission;
use crate::config::Config;
use meterline::config::Auth;

/// The name of the one security scheme.
const TOKEN: &str = "token";
/// The component whose schema depends on the operations there are.
const NEW_OPERATION: &str = "NewOperation";

/// A description without routes. `locked` says whether there is a key, so that tokens are asked for.
pub(super) fn empty(locked: bool) -> OpenApi {
    let info = InfoBuilder::new()
        .title("osapi")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Runs jobs on Linux hosts through workers."));
    let mut components = ComponentsBuilder::new().schema(Problem::name(), Problem::schema());
    if locked {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("Made by `osapi token create`."));
        components = components.security_scheme(TOKEN, SecurityScheme::Http(scheme.build()));
    }
    OpenApiBuilder::new()
        .info(info.build())
        .components(Some(components.build()))
        .build()
}

/// Adds the answers any route may give, as far as it does not describe them itself.
pub(super) fn add_common(operation: &mut Operation, loopback_only: bool) {
    add(operation, "400", "The request makes no sense");
    add(
        operation,
        "403",
        "The request comes from a web page of another origin, or its token does not allow this",
    );
    add(operation, "500", "A fault in the server");
    add(
        operation,
        "503",
        "The server cannot answer now; `Retry-After` says when to come back",
    );
    if loopback_only {
        add(
            operation,
            "421",
            "`Host` is not a name of this machine's loopback",
        );
    }
}

/// Says what a token has to allow.
pub(super) fn add_permission(
    operation: &mut Operation,
    permission: Option<Permission>,
    locked: bool,
) {
    let Some(permission) = permission else {
        operation.security = locked.then(Vec::new);
        return;
    };
    let said = format!("Permission: `{permission}`");
    let description = operation.description.take().filter(|text| !text.is_empty());
    operation.description = Some(match description {
        Some(text) => format!("{text}\n\n{said}"),
        None => said,
    });
    if locked {
        operation.security = Some(vec![SecurityRequirement::new(TOKEN, [permission.as_str()])]);
        add(operation, "401", "No token, or one that is not good");
    }
}

fn add(operation: &mut Operation, status: &str, description: &str) {
    let answers = &mut operation.responses.responses;
    answers
        .entry(status.to_owned())
        .or_insert_with(|| problem(description).into());
}

fn problem(description: &str) -> Answer {
    let schema = Ref::from_schema_name(Problem::name());
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", content)
        .build()
}

/// The metrics endpoints as configured; none if they are not on the API's listener.
pub(super) fn metrics(config: &Config) -> Vec<(String, PathItem)> {
    let metrics = &config.telemetry.metrics;
    if !config.metrics_enabled() || metrics.listen.is_some() {
        return Vec::new();
    }
    let locked = metrics.auth == Auth::Bearer;
    let item = |summary: &str, content: &str| {
        let page = ResponseBuilder::new()
            .description("The metrics")
            .content(content, ContentBuilder::new().build());
        let mut operation = OperationBuilder::new()
            .summary(Some(summary))
            .tag("metrics")
            .response("200", page)
            .build();
        let permission = locked.then_some(Permission::MetricsRead);
        add_permission(&mut operation, permission, locked || config.api.has_key());
        PathItem::new(HttpMethod::Get, operation)
    };
    let text = (
        metrics.path.clone(),
        item("Metrics for Prometheus", "text/plain"),
    );
    let json = metrics.json_path.clone();
    let json = json.map(|path| (path, item("Metrics as JSON", "application/json")));
    std::iter::once(text).chain(json).collect()
}

/// The description as it is served, with the input of each operation there is.
pub(super) fn finished(description: &OpenApi, operations: &BTreeMap<&'static str, Value>) -> Value {
    let mut document = serde_json::to_value(description).unwrap_or_default();
    let forms: Vec<Value> = operations
        .iter()
        .map(|(name, input)| {
            // Without input, `data` may be left out.
            let optional = input["required"].as_array().is_none_or(Vec::is_empty);
            let required = if optional {
                json!(["type"])
            } else {
                json!(["type", "data"])
            };
            json!({
                "type": "object",
                "title": name,
                "properties": {"type": {"type": "string", "const": name}, "data": input},
                "required": required,
                "additionalProperties": false,
            })
        })
        .collect();
    document["components"]["schemas"][NEW_OPERATION] = json!({"oneOf": forms});
    document
}

/// Stands for the schema that [`finished`] puts in.
#[derive(ToSchema)]
#[schema(as = NewOperation)]
#[allow(dead_code)] // Only its name is used.
pub(super) struct NewOperation {}

/// This description.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "docs",
    responses((status = 200, description = "OpenAPI 3.1", body = Value))
)]
pub(super) async fn document(State(state): State<ApiState>) -> Response {
    let text = state.description.get().cloned().unwrap_or_default();
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}
