//! Who the caller is, as the gateway sees it.

use actix_web::{HttpResponse, get};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::caller::Caller;
use crate::api::openapi::examples;
use crate::api::routes::Route;
use crate::api::view::WireTime;
use crate::domain::{Alias, Scope};

/// The route that a key with any scope may use.
pub(in crate::api) const WHOAMI_ROUTES: &[Route] = &[Route::get("/v1/whoami").needs(&[Scope::Push, Scope::Read])];

/// The caller of a request, and what it may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhoAmI {
    /// Whether the request has no key. Such a request is answered only where no key is needed, and everything is allowed there.
    pub anonymous: bool,
    /// The public part of the key, which follows `sg_` in it; `null` without a key.
    #[schema(pattern = "^[0-9A-Za-z]{10}$", example = "4fJ2kQ9xZa")]
    pub id: Option<String>,
    /// What the key is for; `null` without a key.
    pub name: Option<String>,
    /// The scopes of all that the caller may do, those that others include among them.
    pub scopes: Vec<Scope>,
    /// The only resources that the caller may touch; `null` for all.
    #[schema(value_type = Option<Vec<Alias>>)]
    pub resources: Option<Vec<String>>,
    /// Whether the caller may do everything: the scope `admin` is among its scopes.
    pub admin: bool,
    /// When the key expires; `null` if it does not, and without a key.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<WireTime>,
}

impl WhoAmI {
    fn new(caller: &Caller) -> Self {
        let key = caller.key.as_deref();
        let scope = key.map_or(Scope::Admin, |key| key.scope);
        let resources = caller.reach().resources();
        Self {
            anonymous: key.is_none(),
            id: key.map(|key| key.id.to_string()),
            name: key.map(|key| key.name.clone()),
            scopes: Scope::ALL.into_iter().filter(|one| scope.suffices_for(&[*one])).collect(),
            resources: resources.map(|all| all.iter().map(|resource| resource.as_str().to_owned()).collect()),
            admin: scope == Scope::Admin,
            expires_at: key.and_then(|key| key.expires_at).map(WireTime),
        }
    }
}

/// Tell who is asking
///
/// Tells a caller the name of its key, what the key allows, and until when. Any good key may ask, with any scope. A gateway
/// that needs no key answers requests without one, with `anonymous`.
#[utoipa::path(
    operation_id = "whoAmI", tag = "access",
    responses(
        (status = 200, description = "The caller, and what it may do.", body = WhoAmI, example = json!(examples::example_whoami())),
    )
)]
#[get("/v1/whoami")]
pub async fn whoami(caller: Caller) -> HttpResponse {
    HttpResponse::Ok().json(WhoAmI::new(&caller))
}
