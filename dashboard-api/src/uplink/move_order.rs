//! What may be asked of a move: judged before anybody is asked anything.

use ecep_proto::api::{
    error::{ApiError, ErrorKind},
    migration::{
        MAX_DOWNTIME_MS, MAX_ROUNDS, MIN_BYTES_PER_SECOND, MigrateContainer, MigrationMode, MigrationOptions,
    },
};

/// The options of an order.
///
/// # Errors
/// `InvalidArgument`, with what to write instead.
pub(super) fn options(order: &MigrateContainer) -> Result<MigrationOptions, ApiError> {
    let invalid = |text: String| Err(ApiError::new(ErrorKind::InvalidArgument, text));
    if let Some(rate) = order.bytes_per_second.filter(|rate| *rate < MIN_BYTES_PER_SECOND) {
        return invalid(format!(
            "bytes_per_second is {rate}; the least is {MIN_BYTES_PER_SECOND}. Leave it out for a move without a limit"
        ));
    }
    if let Some(rounds) = order.max_rounds.filter(|rounds| !(1..=MAX_ROUNDS).contains(rounds)) {
        return invalid(format!("max_rounds is {rounds}; use 1 to {MAX_ROUNDS}, or leave it out"));
    }
    if let Some(limit) = order.max_downtime_ms.filter(|limit| !(1..=MAX_DOWNTIME_MS).contains(limit)) {
        return invalid(format!(
            "max_downtime_ms is {limit}; use 1 to {MAX_DOWNTIME_MS}, or leave it out for a move without a limit"
        ));
    }
    if order.mode == MigrationMode::Cold {
        let given = [
            ("max_rounds", order.max_rounds.is_some()),
            ("max_downtime_ms", order.max_downtime_ms.is_some()),
        ];
        if let Some((name, _)) = given.iter().find(|(_, is_given)| *is_given) {
            return invalid(format!("{name} is of live moves only; leave it out of a cold one"));
        }
    }
    if order.max_rounds == Some(1) && order.max_downtime_ms.is_some() {
        return invalid("max_rounds is 1; only a second round tells what is written meanwhile, so use 2 or more with max_downtime_ms".to_owned());
    }
    if order.over_downtime.is_some() && order.max_downtime_ms.is_none() {
        return invalid("over_downtime says what to do over max_downtime_ms; give that too".to_owned());
    }
    Ok(MigrationOptions {
        max_rounds: order.max_rounds,
        max_downtime_ms: order.max_downtime_ms,
        over_downtime: order.over_downtime.unwrap_or_default(),
        keep_source: order.keep_source,
    })
}

#[cfg(test)]
mod tests {
    use ecep_proto::api::migration::OverDowntime;
    use serde_json::{Value, json};

    use super::*;

    fn judged(more: &Value) -> Result<MigrationOptions, ApiError> {
        let mut order = json!({ "container": "c", "destination": "d" });
        order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        options(&serde_json::from_value(order).unwrap())
    }

    /// Who asks for what cannot be must be told which word is wrong and what would be right, before a device is asked.
    #[test]
    fn refuses_with_what_to_write_instead() {
        for (order, says) in [
            (json!({ "bytes_per_second": 1 }), "the least is 65536"),
            (json!({ "max_rounds": 0 }), "use 1 to 8"),
            (json!({ "max_rounds": 9 }), "use 1 to 8"),
            (json!({ "max_downtime_ms": 0 }), "use 1 to 3600000"),
            (json!({ "max_downtime_ms": 3_600_001 }), "use 1 to 3600000"),
            (json!({ "mode": "cold", "max_rounds": 1 }), "max_rounds is of live moves only"),
            (json!({ "mode": "cold", "max_downtime_ms": 1 }), "max_downtime_ms is of live moves only"),
            (json!({ "over_downtime": "cold" }), "give that too"),
            (json!({ "max_rounds": 1, "max_downtime_ms": 900 }), "use 2 or more"),
        ] {
            let error = judged(&order).unwrap_err();
            assert_eq!(error.uri, ErrorKind::InvalidArgument, "{order}");
            assert!(error.message.contains(says), "{order}: {}", error.message);
        }
    }

    /// An order without options is what it was before there were any; with them, each is taken over.
    #[test]
    fn takes_over_what_can_be() {
        assert_eq!(judged(&json!({})).unwrap(), MigrationOptions::default());
        assert!(judged(&json!({ "mode": "cold", "keep_source": true })).unwrap().keep_source);
        let all =
            json!({ "max_rounds": 8, "max_downtime_ms": 700, "over_downtime": "cold", "keep_source": true });
        let expected = MigrationOptions {
            max_rounds: Some(8),
            max_downtime_ms: Some(700),
            over_downtime: OverDowntime::Cold,
            keep_source: true,
        };
        assert_eq!(judged(&all).unwrap(), expected);
    }
}
