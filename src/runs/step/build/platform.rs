//! Checks that an image was built for the requested platform, and why a host may not be able to.
//! Compares system and architecture; a variant (`v7`) is left to the builder.

use super::super::image::{Found, architecture};
use crate::domain::fault::Fault;
use crate::domain::host::Engine;

/// `linux/arm/v7` → `linux`, `arm`
fn parts(platform: &str) -> (&str, &str) {
    let mut parts = platform.split('/');
    let system = parts.next().unwrap_or_default();
    (system, architecture(parts.next().unwrap_or_default()))
}

/// Verifies the platform, since the builder may have ignored the request.
pub(super) fn proven(wanted: &str, built: &Found) -> Result<(), Fault> {
    let made = (built.os.as_str(), architecture(&built.architecture));
    if made == parts(wanted) {
        return Ok(());
    }
    Err(Fault::new(
        "",
        format!("it was built for {}/{}, not for {wanted}", made.0, made.1),
    ))
}

/// A hint for a failed build whose host has another platform.
pub(super) fn hint(wanted: &str, name: &str, engine: &Engine) -> Option<String> {
    // Whatever distribution it is.
    let own = ("linux", architecture(&engine.arch));
    (parts(wanted) != own).then(|| {
        format!(
            "{name} is {}/{}: for {wanted} every base image must be for that platform, and running it needs qemu \
             on the host (binfmt_misc); or build on a host of that platform",
            own.0, own.1
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_compared_whatever_its_architecture_is_called() {
        assert_eq!(parts("linux/x86_64"), ("linux", "amd64"));
        assert_eq!(parts("linux/arm/v7"), ("linux", "arm"));
        assert_eq!(parts("linux"), ("linux", ""));
    }
}
