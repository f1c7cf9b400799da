//! Routes, each with who may use it.
//!
//! There are two ways to add one, [`Routes::public`] and [`Routes::needs`]; a route that does not say
//! which cannot be written. What they add to the router they also add to its description, so neither
//! can have what the other lacks.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::header::WWW_AUTHENTICATE;
use meterline::BearerRefusal;
use meterline::bearer::{self, challenge};
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt};

use super::openapi;
use super::problem::Problem;
use super::state::ApiState;
use crate::access::{Permission, SigningKey, TokenError};

/// Routes, and their description.
pub(super) struct Routes {
    router: OpenApiRouter<ApiState>,
    state: ApiState,
}

impl Routes {
    pub(super) fn new(state: &ApiState) -> Self {
        Self {
            router: OpenApiRouter::with_openapi(openapi::empty(state.key.is_some())),
            state: state.clone(),
        }
    }

    /// Adds routes for everybody who can connect.
    pub(super) fn public(self, routes: UtoipaMethodRouter<ApiState>) -> Self {
        self.add(None, routes)
    }

    /// Adds routes for bearers of a token with this permission; for everybody if there is no key.
    pub(super) fn needs(
        self,
        permission: Permission,
        routes: UtoipaMethodRouter<ApiState>,
    ) -> Self {
        let gate = self.state.key.clone().map(|key| Gate { key, permission });
        let routes = routes.map(|methods| match gate {
            Some(gate) => methods.route_layer(middleware::from_fn_with_state(gate, only_allowed)),
            None => methods,
        });
        self.add(Some(permission), routes)
    }

    /// Describes routes that somebody else makes and guards.
    pub(super) fn describe(mut self, items: Vec<(String, PathItem)>) -> Self {
        let loopback = self.state.loopback_only;
        for (path, mut item) in items {
            operations(&mut item).for_each(|operation| openapi::add_common(operation, loopback));
            self.router.get_openapi_mut().paths.paths.insert(path, item);
        }
        self
    }

    fn add(
        self,
        permission: Option<Permission>,
        (schemas, mut paths, methods): UtoipaMethodRouter<ApiState>,
    ) -> Self {
        let locked = self.state.key.is_some();
        for operation in paths.paths.values_mut().flat_map(operations) {
            openapi::add_common(operation, self.state.loopback_only);
            openapi::add_permission(operation, permission, locked);
        }
        Self {
            router: self.router.routes((schemas, paths, methods)),
            state: self.state,
        }
    }

    /// The router, and what it is.
    pub(super) fn finish(self) -> (Router<ApiState>, OpenApi) {
        self.router.split_for_parts()
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let known = [
        &mut item.get,
        &mut item.post,
        &mut item.put,
        &mut item.delete,
        &mut item.patch,
    ];
    known.into_iter().flatten()
}

#[derive(Clone)]
struct Gate {
    key: Arc<SigningKey>,
    permission: Permission,
}

async fn only_allowed(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let Some(token) = bearer::token(request.headers()) else {
        let detail = "this needs a token: Authorization: Bearer TOKEN";
        return refuse(Problem::unauthorized(detail), None);
    };
    match gate.key.verify(token) {
        Err(error) => refuse(
            Problem::unauthorized(error.to_string()),
            Some(BearerRefusal::Invalid),
        ),
        Ok(claims) if !claims.allows(gate.permission) => {
            let detail = format!("the token does not allow {}", gate.permission);
            refuse(
                Problem::forbidden(detail),
                Some(BearerRefusal::Insufficient),
            )
        }
        Ok(claims) => {
            request.extensions_mut().insert(claims);
            next.run(request).await
        }
    }
}

fn refuse(problem: Problem, refusal: Option<BearerRefusal>) -> Response {
    ([(WWW_AUTHENTICATE, challenge(refusal))], problem).into_response()
}

/// The check of tokens for the metrics endpoints, which meterline serves.
pub fn metrics_check(
    key: Arc<SigningKey>,
) -> impl Fn(&str) -> Result<(), BearerRefusal> + Send + Sync + 'static {
    move |token| match key.verify(token) {
        Ok(claims) if claims.allows(Permission::MetricsRead) => Ok(()),
        Ok(_) => Err(BearerRefusal::Insufficient),
        Err(TokenError::Expired | TokenError::Signature | TokenError::Malformed) => {
            Err(BearerRefusal::Invalid)
        }
    }
}
