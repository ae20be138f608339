//! The names of applications' images at the engine, and who may use which image: an application's image is its tenant's alone, whatever
//! name somebody else calls it by. No I/O.

use ecep_proto::api::{
    artifact::ArtifactDigest,
    error::{ApiError, ErrorKind},
    image::ImageView,
    name::{ApplicationName, TenantSlug},
};

use ecep_fleet::image_reference::ImageReference;

use crate::engine::ImageFacts;

/// What the names of all applications' images begin with; then come the tenant and the application.
const PREFIX: &str = "ecep-app/";
/// The registry that an engine means where a name has none, in the spellings that it takes.
const OWN_REGISTRY: &[&str] = &["docker.io/", "index.docker.io/"];
/// Digits of the digest in a name: no two artifacts of one version's number meet by chance.
const DIGITS: usize = 12;

/// The name of the image that a version's artifact becomes.
pub(crate) fn reference(
    tenant: &TenantSlug,
    application: &ApplicationName,
    version: u32,
    digest: &ArtifactDigest,
) -> String {
    format!("{}{version}-{}", of_application(tenant, application), &digest.as_str()[..DIGITS])
}

/// What the names of an application's images begin with.
pub(crate) fn of_application(tenant: &TenantSlug, application: &ApplicationName) -> String {
    format!("{PREFIX}{tenant}/{application}:")
}

/// Whose application's image has this name: a tenant's slug. None where it is an ordinary image's.
fn owner(reference: &str) -> Option<&str> {
    let name = OWN_REGISTRY.iter().find_map(|registry| reference.strip_prefix(registry)).unwrap_or(reference);
    let (tenant, _) = name.strip_prefix(PREFIX)?.split_once('/').unwrap_or_default();
    Some(tenant)
}

/// Whether it is the name of an application's image, whoever's.
pub(crate) fn is_of_application(reference: &str) -> bool {
    owner(reference).is_some()
}

/// Whether it is the name of an image of this tenant's applications.
pub(crate) fn is_own(tenant: &TenantSlug, reference: &str) -> bool {
    owner(reference) == Some(tenant.as_str())
}

/// Whether this tenant may see and use an image by this name.
pub(crate) fn is_own_or_shared(tenant: &TenantSlug, reference: &str) -> bool {
    owner(reference).is_none_or(|owner| owner == tenant.as_str())
}

/// Whether the engine's image is one that the tenant may use by what it called it.
pub(crate) fn is_usable(tenant: &TenantSlug, called: &ImageReference, facts: &ImageFacts) -> bool {
    let by_content = called.is_id() || called.as_str().contains('@');
    if !by_content {
        return is_own_or_shared(tenant, called.as_str());
    }
    // A nameless one may be a step of another tenant's build; one that was pulled by its digest has no name either.
    let named = facts.tags.iter().any(|tag| is_own_or_shared(tenant, tag));
    named || (facts.tags.is_empty() && !called.is_id())
}

/// Takes from a list what is another tenant's application's.
pub(crate) fn hide_foreign(tenant: &TenantSlug, images: &mut Vec<ImageView>) {
    images.retain_mut(|image| {
        let had_names = !image.tags.is_empty();
        image.tags.retain(|tag| is_own_or_shared(tenant, tag));
        !had_names || !image.tags.is_empty()
    });
}

/// Refuses another tenant's name in the words for one that is not there.
pub(crate) fn refuse_name(tenant: &TenantSlug, image: &ImageReference) -> Result<(), ApiError> {
    if is_own_or_shared(tenant, image.as_str()) { Ok(()) } else { Err(no_image(image)) }
}

/// Refuses to ask a registry for an application's image: whoever has that name there could put theirs in its place.
pub(crate) fn refuse_pull(image: &ImageReference) -> Result<(), ApiError> {
    if is_of_application(image.as_str()) { Err(no_image(image)) } else { Ok(()) }
}

/// There is no such image, as far as whoever asks may know.
pub(crate) fn no_image(image: &ImageReference) -> ApiError {
    ApiError::new(ErrorKind::NotFound, format!("there is no image {image} on this device"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(slug: &str) -> TenantSlug {
        slug.parse().unwrap()
    }

    fn usable(called: &str, tags: &[&str]) -> bool {
        let called: ImageReference = called.parse().unwrap();
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        is_usable(&tenant("acme"), &called, &ImageFacts { tags, ..ImageFacts::default() })
    }

    /// The engine takes several spellings of one name, and ids: none of them may be a way to another tenant's image.
    #[test]
    fn no_spelling_reaches_anothers_image() {
        let theirs = "ecep-app/globex/app:1-0123456789ab";
        for spelling in
            [theirs, &format!("docker.io/{theirs}"), &format!("index.docker.io/{theirs}"), "ecep-app/x"]
        {
            let image: ImageReference = spelling.parse().unwrap();
            assert!(refuse_name(&tenant("acme"), &image).is_err(), "{spelling}");
            assert!(!usable(spelling, &[theirs]), "{spelling}");
            assert!(refuse_pull(&image).is_err(), "{spelling}");
        }
        let (whole, short) = (format!("sha256:{}", "a".repeat(64)), "sha256:ab");
        assert!(!usable(&whole, &[theirs]));
        assert!(!usable(&format!("app@{whole}"), &[theirs]));
        // A step of another's build has no name, and lists tell its id.
        assert!(!usable(short, &[]) && !usable(&whole, &[]));
        assert!(usable(&format!("app@{whole}"), &[]));
        let ours = "ecep-app/acme/app:1-0123456789ab";
        assert!(usable(&whole, &[theirs, ours]) && usable(ours, &[ours]) && usable(short, &["nginx:1"]));
        // A tenant whose slug is the beginning of another's.
        assert!(!usable("ecep-app/acme-2/app:1", &[]));
        // Not a name of ours at all: another registry's.
        assert!(usable("registry.example/ecep-app/globex/app:1", &[]));
        assert!(refuse_pull(&ours.parse().unwrap()).is_err());
    }

    /// A list must not tell what another tenant has deployed.
    #[test]
    fn lists_tell_no_images_of_others_applications() {
        let image = |tags: &[&str]| ImageView {
            id: "sha256:1".to_owned(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            size_bytes: 1,
            created_at: 1,
        };
        let theirs = "ecep-app/globex/app:1-0123456789ab";
        let mut images = vec![image(&[theirs]), image(&[theirs, "nginx:1"]), image(&[])];
        hide_foreign(&tenant("acme"), &mut images);
        assert_eq!(images, [image(&["nginx:1"]), image(&[])]);
    }
}
