//! Requests of HTTP/2 as heads: what HTTP/1.1 says in its first line and `Host`, HTTP/2 says in pseudo-header fields (RFC 9113 section 8.3).
//!
//! A request that an HTTP/1.1 server could read in another way than an HTTP/2 server is refused, because either may get it.

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, request, uri};

use crate::authority::Authority;
use crate::body::BodyFraming;
use crate::head::{HEADERS_MAX, Head, HeadError, RawPath, Target};

#[cfg(test)]
mod tests;

/// The port of `https`.
const HTTPS_PORT: u16 = 443;

/// The head of a request that came over HTTP/2 inside TLS.
///
/// # Errors
/// [`HeadError`]; the stream is refused, the connection goes on.
pub fn head(parts: &request::Parts, body: BodyFraming) -> Result<Head, HeadError> {
    if parts.headers.len() > HEADERS_MAX {
        return Err(HeadError::TooManyHeaders);
    }
    let connect = parts.method == Method::CONNECT;
    if !connect && parts.uri.scheme() != Some(&uri::Scheme::HTTPS) {
        return Err(HeadError::PseudoFields);
    }
    let authority = authority(parts)?;
    let target = if connect { Target::Authority } else { target(parts)? };
    if parts.headers.get_all(header::CONTENT_LENGTH).iter().count() > 1 {
        return Err(HeadError::Framing);
    }
    Ok(Head {
        method: parts.method.clone(),
        target,
        authority,
        headers: with_one_cookie(&parts.headers)?,
        body,
        keep_alive: true,
        upgrade: None,
        expect_continue: false,
    })
}

/// Row 59 of the attack table: `:authority` and `Host` must be one endpoint.
fn authority(parts: &request::Parts) -> Result<Authority, HeadError> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (None, _) => None,
        (Some(host), None) => {
            let text = host.to_str().map_err(|_| HeadError::HostMismatch)?;
            Some(Authority::parse(text).map_err(HeadError::Host)?)
        }
        (Some(_), Some(_)) => return Err(HeadError::HostRepeated),
    };
    let Some(named) = parts.uri.authority() else {
        return host.ok_or(HeadError::HostMissing);
    };
    let named = Authority::parse(named.as_str()).map_err(HeadError::TargetAuthority)?;
    if host.is_some_and(|host| !host.same_endpoint(&named, HTTPS_PORT)) {
        return Err(HeadError::HostMismatch);
    }
    Ok(named)
}

fn target(parts: &request::Parts) -> Result<Target, HeadError> {
    match parts.uri.path_and_query().map(uri::PathAndQuery::as_str) {
        Some("*") if parts.method == Method::OPTIONS => Ok(Target::Asterisk),
        Some(path) if path.starts_with('/') => Ok(Target::Origin(RawPath::new(path))),
        Some(_) | None => Err(HeadError::Target),
    }
}

/// HTTP/2 may split `Cookie`, HTTP/1.1 may not (RFC 9113 section 8.2.3).
fn with_one_cookie(headers: &HeaderMap) -> Result<HeaderMap, HeadError> {
    let mut headers = headers.clone();
    let crumbs: Vec<&[u8]> =
        headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1 {
        let joined = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]));
        let joined = joined.map_err(|_| HeadError::Field(crate::field::FieldError::Value))?;
        headers.insert(header::COOKIE, joined);
    }
    Ok(headers)
}
