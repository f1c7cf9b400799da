//! Who may do what: tokens signed with the installation's key.
//!
//! A token is a JSON Web Token (RFC 7519) signed with HMAC-SHA256 (`HS256`). It names who bears it
//! (`sub`), what that one may do (`permissions`) and until when (`exp`); there is no list of tokens
//! anywhere, so one given away is good until it expires or the key changes.

mod key;
mod permission;
mod signature;

pub use self::key::{BadKey, Claims, SigningKey, TokenError};
pub use self::permission::{Permission, UnknownPermission};
