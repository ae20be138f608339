//! Why TLS was refused, in a sentence for the person who must act.

use std::{error::Error, io};

use rustls::CertificateError;

/// What a failed handshake has to say.
pub(crate) fn sentence(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(inner) = inner else { return error.to_string() };
    match inner {
        rustls::Error::InvalidCertificate(wrong) => certificate(wrong),
        rustls::Error::InvalidMessage(_) => "it does not speak TLS there".to_owned(),
        other => other.to_string(),
    }
}

fn certificate(wrong: &CertificateError) -> String {
    match wrong {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has ended: it must be renewed (or this machine's clock is wrong)".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet: is this machine's clock right?".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the server's certificate is for another name: use the name that stands in it".to_owned()
        }
        // An impostor may have given its authority the name of ours.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the server's certificate was signed by nobody who is trusted here: give its authority with --ca, or its fingerprint".to_owned()
        }
        CertificateError::Other(other) => innermost(&*other.0),
        other => format!("the server's certificate cannot be used: {other}"),
    }
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}
