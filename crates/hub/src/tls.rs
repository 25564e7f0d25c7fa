//! How https connections are secured: graviola's algorithms, the system's certificates.

use std::sync::Arc;

use ureq::tls::TlsConfig;

/// The configuration of secure connections.
///
/// Certificates are those of the system, or of `SSL_CERT_FILE` and `SSL_CERT_DIR`; where there are none, Mozilla's list
/// inside the program.
///
/// # Errors
/// In words, if this processor has no instructions for it, or the certificates cannot be read.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) fn config() -> Result<TlsConfig, String> {
    use ureq::tls::{Certificate, RootCerts};

    if !is_supported() {
        return Err(format!(
            "https needs a processor with the instructions {FEATURES}: pull the model on another machine \
             (`albert pull ID --to DIR`) and copy the folder"
        ));
    }
    let found = rustls_native_certs::load_native_certs();
    let chosen = ["SSL_CERT_FILE", "SSL_CERT_DIR"]
        .into_iter()
        .find(|name| std::env::var_os(name).is_some());
    let roots = match (found.certs.is_empty(), chosen) {
        (false, _) => {
            let certificates = found
                .certs
                .iter()
                .map(|der| Certificate::from_der(der).to_owned());
            RootCerts::Specific(Arc::new(certificates.collect()))
        }
        (true, Some(name)) => {
            let why = found.errors.first().map(|error| format!(": {error}"));
            return Err(format!(
                "{name} leads to no certificate{}: give a file in PEM form, or unset it",
                why.unwrap_or_default()
            ));
        }
        (true, None) => RootCerts::WebPki,
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
pub(crate) fn config() -> Result<TlsConfig, String> {
    Err(
        "this program has no https for this kind of processor: pull the model on another machine \
         (`albert pull ID --to DIR`) and copy the folder"
            .to_owned(),
    )
}
