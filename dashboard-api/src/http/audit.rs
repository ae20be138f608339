//! Exports of the audit: a tenant's for its owners, the installation's for administrators. They are read row by row while they
//! are sent, so that a long one needs no more memory than a short one.

use std::fmt::Write;

use ecep_proto::api::audit::AuditEntry;
use futures_util::stream;
use warp::{
    http::{HeaderValue, header},
    reply::{Reply, Response},
};

use super::{Answer, request::Request};
use crate::{
    clock::unix_ms,
    naming::invalid,
    store::{
        Store, StoreError,
        audit::{Log, Wanted},
    },
};

/// Rows that are in memory at a time.
const ROWS: usize = 200;

/// What its query takes.
pub(super) const FILTERS: &[&str] = &["format", "from", "to", "actor", "action", "target"];

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// A JSON object a line.
    Ndjson,
    /// RFC 4180, with a line of names.
    Csv,
}

/// Exports the tenant's.
pub(super) async fn of_tenant(request: Request) -> Answer {
    let slug = request.tenant()?.clone();
    let store = &request.app.control.store;
    // A tenant of the same slug that was deleted was another one.
    let since = store.tenant(&slug)?.map_or(0, |tenant| tenant.created_at);
    export(&request, Log::of_tenant(&slug), since)
}

/// Exports the installation's.
pub(super) async fn of_installation(request: Request) -> Answer {
    export(&request, Log::of_installation(), 0)
}

fn export(request: &Request, logs: Vec<Log>, since: u64) -> Answer {
    let mut format = Format::Ndjson;
    // What is written meanwhile is not exported, so that it ends.
    let mut wanted = Wanted { to: unix_ms(), limit: ROWS, ..Wanted::default() };
    for (name, value) in request.query()? {
        let time =
            || value.parse().map_err(|_| invalid(format!("{name} is {value}; use milliseconds since 1970.")));
        match name.as_str() {
            "format" if value == "ndjson" => format = Format::Ndjson,
            "format" if value == "csv" => format = Format::Csv,
            "format" => return Err(invalid(format!("There is no format {value}; use ndjson or csv.")).into()),
            "from" => wanted.from = time()?,
            "to" => wanted.to = wanted.to.min(time()?),
            "actor" => wanted.actor = Some(value),
            "action" => wanted.action = Some(value),
            "target" => wanted.target = Some(value),
            _ => {
                let known = FILTERS.join(", ");
                return Err(invalid(format!("There is no filter {name}; use one of: {known}.")).into());
            }
        }
    }
    wanted.from = wanted.from.max(since);
    let rows = Rows { store: request.app.control.store.clone(), logs, wanted, is_over: false, format };
    let head = (format == Format::Csv).then(|| Ok(format!("{}\r\n", COLUMNS.join(","))));
    let body = warp::reply::stream(stream::iter(head.into_iter().chain(rows)));
    Ok(described(body.into_response(), format))
}

fn described(mut response: Response, format: Format) -> Response {
    let (kind, file) = match format {
        Format::Ndjson => ("application/x-ndjson", "attachment; filename=\"audit.ndjson\""),
        Format::Csv => ("text/csv; charset=utf-8; header=present", "attachment; filename=\"audit.csv\""),
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(file));
    response
}

/// The export, some rows at a time.
struct Rows {
    store: Store,
    logs: Vec<Log>,
    wanted: Wanted,
    is_over: bool,
    format: Format,
}

impl Iterator for Rows {
    type Item = Result<String, StoreError>;

    /// Some lines; none of them if a look at many rows found nothing.
    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let (entries, next) = match self.store.audit(&self.logs, &self.wanted) {
            Ok(page) => page,
            Err(error) => {
                // The status has been sent: a body that breaks off is how the reader learns of it.
                tracing::error!(%error, "an export of the audit ends early");
                self.is_over = true;
                return Some(Err(error));
            }
        };
        self.is_over = next.is_none();
        self.wanted.after = next;
        let mut lines = String::new();
        for entry in &entries {
            match self.format {
                Format::Ndjson => {
                    lines.push_str(&serde_json::to_string(entry).unwrap_or_default());
                    lines.push('\n');
                }
                Format::Csv => csv(&mut lines, entry),
            }
        }
        Some(Ok(lines))
    }
}

const COLUMNS: &[&str] = &[
    "id",
    "at",
    "tenant",
    "actor",
    "actor_kind",
    "via",
    "via_id",
    "address",
    "device",
    "action",
    "target",
    "outcome",
    "error",
    "count",
    "device_at",
    "late",
    "detail",
    "hash",
];

fn csv(line: &mut String, entry: &AuditEntry) {
    let detail = serde_json::to_string(&entry.detail).unwrap_or_default();
    let cells = [
        entry.id.clone(),
        entry.at.to_string(),
        entry.tenant.as_ref().map(ToString::to_string).unwrap_or_default(),
        entry.actor.authid.clone(),
        entry.actor.kind.as_str().to_owned(),
        entry.via.as_ref().map(|via| via.kind.as_str().to_owned()).unwrap_or_default(),
        entry.via.as_ref().map(|via| via.id.clone()).unwrap_or_default(),
        entry.address.clone().unwrap_or_default(),
        entry.device.as_ref().map(ToString::to_string).unwrap_or_default(),
        entry.action.clone(),
        entry.target.clone(),
        entry.outcome.as_str().to_owned(),
        entry.error.clone().unwrap_or_default(),
        entry.count.to_string(),
        entry.device_at.map(|at| at.to_string()).unwrap_or_default(),
        entry.late.to_string(),
        detail,
        entry.hash.clone(),
    ];
    for (number, cell) in cells.iter().enumerate() {
        if number > 0 {
            line.push(',');
        }
        // A string takes any text.
        let _ = write!(line, "\"{}\"", harmless(cell).replace('"', "\"\""));
    }
    line.push_str("\r\n");
}

/// Spreadsheets take a cell that begins so for a formula, which may call programs or send what the sheet holds.
fn harmless(cell: &str) -> String {
    // Some take the wide forms of the signs for the signs.
    let is_formula = cell.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠', '\t', '\r', '\n']);
    if is_formula { format!("'{cell}") } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A container named like a formula must not run when an owner opens the export.
    #[test]
    fn cells_are_no_formulas() {
        for cell in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\n=1", "＝1+1", "＠SUM(A1)"] {
            assert!(harmless(cell).starts_with('\''), "{cell}");
        }
        assert_eq!(harmless("web-1"), "web-1");
    }
}
