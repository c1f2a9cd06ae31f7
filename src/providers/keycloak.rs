//! Roles of Keycloak.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;

/// The roles in a token of Keycloak: of the realm, and of each client. Its `Debug` does not show them. For a field of
/// one's own claims:
///
/// ```
/// use tower_jwt_auth::providers::KeycloakRoles;
///
/// #[derive(serde::Deserialize)]
/// struct Claims {
///     #[serde(flatten)]
///     roles: KeycloakRoles,
/// }
///
/// let claims: Claims = serde_json::from_str(
///     r#"{"realm_access": {"roles": ["admin"]}, "resource_access": {"orders": {"roles": ["read"]}}}"#,
/// )?;
/// assert!(claims.roles.in_realm("admin") && claims.roles.in_client("orders", "read"));
/// assert!(!claims.roles.in_realm("read") && !claims.roles.in_client("orders", "admin"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Default, Deserialize)]
pub struct KeycloakRoles {
    #[serde(default)]
    realm_access: Roles,
    #[serde(default)]
    resource_access: HashMap<String, Roles>,
}

#[derive(Clone, Default, Deserialize)]
struct Roles {
    #[serde(default)]
    roles: Vec<String>,
}

impl KeycloakRoles {
    /// True when the user has this role in the realm.
    pub fn in_realm(&self, role: &str) -> bool {
        self.realm_access.roles.iter().any(|own| own == role)
    }

    /// True when the user has this role of a client.
    pub fn in_client(&self, client: &str, role: &str) -> bool {
        self.resource_access.get(client).is_some_and(|of| of.roles.iter().any(|own| own == role))
    }
}

impl fmt::Debug for KeycloakRoles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeycloakRoles").finish_non_exhaustive()
    }
}
