//! The payload types as JSON schemas, with their docs: what `docs/api.md` and the OpenAPI document are made from.

use std::collections::BTreeMap;

use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::Value;

use super::{
    artifact, audit, describe_procedures, describe_topics, device, enrol, error, file, http,
    http::http_types, people, share,
};

/// Where one schema names another: what stands in front of the name.
pub const REFERENCE: &str = "#/components/schemas/";

/// Every payload type by its name, as JSON Schema 2020-12. What may be left out of a request is not required; in a reply it is
/// there all the same.
pub fn schemas() -> BTreeMap<String, Value> {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = SchemaGenerator::new(settings);
    describe_procedures(&mut generator);
    describe_topics(&mut generator);
    macro_rules! types {
        ($($ty:ty),+ $(,)?) => { $(generator.subschema_for::<$ty>();)+ };
    }
    http_types!(types);
    types!(
        enrol::EnrolRequest,
        enrol::EnrolReply,
        enrol::SessionRequest,
        enrol::SessionReply,
        enrol::RotateRequest,
        enrol::RotateReply,
        device::OwnedDevice,
        device::ChangeDevice,
        share::NewShare,
        share::ChangeShare,
        share::EndShare,
        share::EndedShare,
        share::ShareView,
        share::OfferView,
        audit::AuditEntry,
        error::ApiError,
    );
    generator.take_definitions(true).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two types of one name would be told apart by a number, which no reader understands.
    #[test]
    fn every_type_has_a_name_of_its_own() {
        let schemas = schemas();
        for name in schemas.keys() {
            let shorter = name.trim_end_matches(|last: char| last.is_ascii_digit());
            assert!(shorter == name || !schemas.contains_key(shorter), "there are two {shorter}");
        }
        assert!(schemas.contains_key("CreateContainer") && schemas.contains_key("EnrolRequest"));
    }
}
