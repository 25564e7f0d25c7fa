//! How https connections are secured: graviola's algorithms, the system's certificates.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use std::sync::Arc;

use ureq::tls::TlsConfig;

use crate::environment::Authorities;

/// The configuration of secure connections.
///
/// Certificates are those that the environment names, else those of the system, else Mozilla's list inside the program.
///
/// # Errors
/// In words, if this processor has no instructions for it, or the certificates cannot be read.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) fn config(authorities: &Authorities) -> Result<TlsConfig, String> {
    use ureq::tls::{Certificate, RootCerts};

    if !is_supported() {
        return Err(format!(
            "https needs a processor with the instructions {FEATURES}: pull the model on another machine \
             (`albert pull ID --to DIR`) and copy the folder"
        ));
    }
    let (file, folder) = (authorities.file.as_ref(), authorities.folder.as_ref());
    let found = match (file, folder) {
        (None, None) => rustls_native_certs::load_native_certs(),
        _ => rustls_native_certs::load_certs_from_paths(
            file.map(|(_, path)| path.as_path()),
            folder.map(|(_, path)| path.as_path()),
        ),
    };
    let roots = match file.or(folder) {
        Some((variable, path)) if found.certs.is_empty() => {
            let why = found.errors.first().map(|error| format!(" ({error})"));
            return Err(format!(
                "{variable} names {}, which holds no certificate{}: give a file in PEM form, or unset it",
                path.display(),
                why.unwrap_or_default()
            ));
        }
        None if found.certs.is_empty() => RootCerts::WebPki,
        _ => {
            let certificates = found
                .certs
                .iter()
                .map(|der| Certificate::from_der(der).to_owned());
            RootCerts::Specific(Arc::new(certificates.collect()))
        }
    };
    Ok(TlsConfig::builder()
        .root_certs(roots)
        .unversioned_rustls_crypto_provider(Arc::new(rustls_graviola::default_provider()))
        .build())
}

/// What graviola needs; without it, it would panic.
#[cfg(target_arch = "x86_64")]
const FEATURES: &str = "AES, SSSE3, AVX2, ADX, BMI2 and PCLMULQDQ";
#[cfg(target_arch = "aarch64")]
const FEATURES: &str = "AES, SHA2 and PMULL";

#[cfg(target_arch = "x86_64")]
fn is_supported() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("aes")
        && has!("ssse3")
        && has!("avx")
        && has!("avx2")
        && has!("adx")
        && has!("bmi2")
        && has!("pclmulqdq")
}

#[cfg(target_arch = "aarch64")]
fn is_supported() -> bool {
    use std::arch::is_aarch64_feature_detected as has;
    has!("neon") && has!("aes") && has!("sha2") && has!("pmull")
}

/// There is none.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) fn config(_: &Authorities) -> Result<TlsConfig, String> {
    Err(
        "this program has no https for this kind of processor: pull the model on another machine \
         (`albert pull ID --to DIR`) and copy the folder"
            .to_owned(),
    )
}
