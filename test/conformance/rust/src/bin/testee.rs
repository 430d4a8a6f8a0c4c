//! The loop that the conformance kit drives: one JSON object a line, and one line for each. See
//! ../../../README.md.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};
use tercet_client::compare::Outcome;
use tercet_client::error::{Error, Result, reason_name};
use tercet_client::exchange::sync;
use tercet_client::fingerprint::Fingerprint;
use tercet_client::item::{Content, Entry, Version};
use tercet_client::proto::{ChangeStandard, ErrorReason};
use tercet_client::replica::{Replica, Resolution};
use tercet_client::session::{OnHistoryChange, RecoveryReason, Report, SyncOptions, system_now_us};
use tercet_client::shared::Shared;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

/// What all replicas take for now; 0: the real clock.
static CLOCK_US: AtomicI64 = AtomicI64::new(0);

fn now_us() -> i64 {
    match CLOCK_US.load(Ordering::Relaxed) {
        0 => system_now_us(),
        clock_us => clock_us,
    }
}

type Replicas = HashMap<String, Arc<Shared>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut replicas = Replicas::new();
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let request: Value = serde_json::from_str(&line)?;
        if request["do"] == "sync" {
            // Other requests are answered while an exchange runs.
            tokio::spawn(exchange(replica_of(&replicas, &request), request));
        } else {
            let result = carry_out(&mut replicas, &request).await;
            answer(&request, result)?;
        }
    }
    Ok(())
}

async fn exchange(replica: Result<Arc<Shared>>, request: Value) -> std::io::Result<()> {
    let report = async {
        let replica = replica?;
        let report = sync(&replica, &to_options(&request)).await?;
        Ok(to_report(&report, &*replica.lock().await))
    };
    answer(&request, report.await)
}

fn answer(request: &Value, result: Result<Value>) -> std::io::Result<()> {
    let mut said = match result {
        Ok(answer) => json!({ "ok": answer }),
        Err(error) => json!({ "error": to_error(&error) }),
    };
    said["n"] = request["n"].clone();
    // Standard output is flushed at the end of each line.
    writeln!(std::io::stdout(), "{said}")
}

async fn carry_out(replicas: &mut Replicas, request: &Value) -> Result<Value> {
    let name = text_of(request, "replica");
    match text_of(request, "do") {
        "hello" => {
            let features = ["groups", "chunks", "reconcile", "manual", "concurrent"];
            return Ok(json!({ "name": "tercet reference client, Rust", "features": features }));
        }
        "set_clock" => CLOCK_US.store(request["us"].as_i64().unwrap_or(0), Ordering::Relaxed),
        "open" => {
            let replica = Replica::new(text_of(request, "collection"))?;
            replicas.insert(name.to_owned(), Arc::new(Shared::new(replica)));
        }
        "copy" => {
            let copy = replica_of(replicas, request)?.lock().await.clone();
            replicas.insert(text_of(request, "to").to_owned(), Arc::new(Shared::new(copy)));
        }
        "close" => {
            replicas.remove(name);
        }
        work => {
            let replica = replica_of(replicas, request)?;
            return carry_out_locally(&mut *replica.lock().await, work, request);
        }
    }
    Ok(json!({}))
}

fn carry_out_locally(replica: &mut Replica, work: &str, request: &Value) -> Result<Value> {
    let id = text_of(request, "id");
    let held = |entry: &&Entry| entry.is_held();
    Ok(match work {
        "put" => {
            replica.write(id, version_of(request), now_us())?;
            json!({})
        }
        "delete" => {
            let deleted = replica.entry(id).mine.is_some();
            replica.write(id, None, now_us())?;
            json!({ "deleted": deleted })
        }
        "transaction" => {
            let changes = request["changes"].as_array().into_iter().flatten();
            let writes =
                changes.map(|change| (text_of(change, "id").to_owned(), version_of(change)));
            replica.transaction(writes.collect(), now_us())?;
            json!({})
        }
        "get" => json!({ "item": to_item(&replica.entry(id), true) }),
        "list" => {
            let items = replica.entries.values().filter(|entry| entry.mine.is_some());
            json!({ "items": items.map(|entry| to_item(entry, false)).collect::<Vec<_>>() })
        }
        "pending" => {
            json!({ "pending": replica.pending().iter().map(to_pending).collect::<Vec<_>>() })
        }
        "held" => {
            let items = replica.entries.values().filter(held);
            json!({ "held": items.map(to_held).collect::<Vec<_>>() })
        }
        "resolve" => {
            let how = match text_of(request, "how") {
                "mine" => Resolution::Mine,
                "theirs" => Resolution::Theirs,
                _ => Resolution::Other(version_of(request)),
            };
            replica.resolve(id, how, now_us())?;
            json!({})
        }
        "conflicts" => json!({ "conflicts": to_conflicts(replica) }),
        "status" => {
            let mut status = to_sums(replica);
            status["items"] =
                replica.entries.values().filter(|entry| entry.mine.is_some()).count().into();
            status["pending"] = replica.pending().len().into();
            status["held"] = replica.entries.values().filter(held).count().into();
            status["conflicts"] = replica.conflicts.len().into();
            status
        }
        "lose_checkpoint" => {
            replica.lose_checkpoint();
            json!({})
        }
        _ => {
            return Err(Error::new(ErrorReason::Unsupported, format!("unknown request {work:?}")));
        }
    })
}

// ---- reading requests

fn text_of<'a>(request: &'a Value, field: &str) -> &'a str {
    request[field].as_str().unwrap_or_default()
}

fn replica_of(replicas: &Replicas, request: &Value) -> Result<Arc<Shared>> {
    let name = text_of(request, "replica");
    replicas.get(name).cloned().ok_or_else(|| {
        let message = format!("unknown request, or no replica {name:?} is open");
        Error::new(ErrorReason::Unsupported, message)
    })
}

fn version_of(request: &Value) -> Option<Version> {
    if request["deleted"] == true {
        return None;
    }
    let content = match request["text"].as_str() {
        Some(text) => Content::Text(text.into()),
        None => Content::Data(
            BASE64_STANDARD.decode(text_of(request, "data")).unwrap_or_default().into(),
        ),
    };
    Some(Version::new(text_of(request, "id"), content))
}

fn to_options(request: &Value) -> SyncOptions {
    let standard = format!("CHANGE_STANDARD_{}", text_of(request, "standard"));
    SyncOptions {
        now_us,
        standard: ChangeStandard::from_str_name(&standard).unwrap_or_default(),
        create: request["create"] == true,
        recreate: request["recreate"] == true,
        on_history_change: match text_of(request, "on_history_change") {
            "follow" => OnHistoryChange::Follow,
            "stop" => OnHistoryChange::Stop,
            _ => OnHistoryChange::Offer,
        },
        timeout: request["timeout_ms"].as_u64().map(Duration::from_millis),
        ..SyncOptions::new(text_of(request, "server"))
    }
}

// ---- writing answers

fn to_error(error: &Error) -> Value {
    let details = error.details();
    // The canonical name: FailedPrecondition is FAILED_PRECONDITION.
    let mut code = String::new();
    for character in format!("{:?}", error.code()).chars() {
        if character.is_uppercase() && !code.is_empty() {
            code.push('_');
        }
        code.extend(character.to_uppercase());
    }
    let mut told = json!({ "code": code, "reason": error.reason(), "message": error.to_string() });
    if let Some(request) = details.bad_request() {
        told["fields"] =
            request.field_violations.iter().map(|violation| violation.field.as_str()).collect();
    }
    if let Some(delay) = details.retry_info().and_then(|info| info.retry_delay) {
        told["retry_after_ms"] = (delay.as_millis() as u64).into();
    }
    told
}

fn to_hex(fingerprint: Option<Fingerprint>) -> Value {
    let hex =
        |bytes: Fingerprint| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    fingerprint.map(hex).into()
}

fn standard_name(standard: ChangeStandard) -> &'static str {
    standard.as_str_name().trim_start_matches("CHANGE_STANDARD_")
}

fn kind_of(version: &Option<Version>) -> &'static str {
    if version.is_some() { "upserted" } else { "deleted" }
}

/// The content of a version, as one field; null for none.
fn to_content(version: Option<&Version>) -> Value {
    match version.map(|version| &version.content) {
        None => Value::Null,
        Some(Content::Text(text)) => json!({ "text": **text }),
        Some(Content::Data(data)) => json!({ "data": BASE64_STANDARD.encode(data) }),
    }
}

/// Adds the field of a content, if there is one.
fn with_content(mut told: Value, version: Option<&Version>) -> Value {
    if let (Some(told), Value::Object(mut content)) = (told.as_object_mut(), to_content(version)) {
        told.append(&mut content);
    }
    told
}

fn to_item(entry: &Entry, with_its_content: bool) -> Value {
    let Some(mine) = &entry.mine else {
        return Value::Null;
    };
    let told = json!({
        "id": entry.id,
        "fingerprint": to_hex(Some(mine.fingerprint)),
        "modify_time_us": entry.time_us,
        "pending": entry.pending.is_some() && entry.base_fingerprint() != Some(mine.fingerprint),
    });
    with_content(told, entry.mine.as_ref().filter(|_| with_its_content))
}

fn to_pending(entry: &Entry) -> Value {
    let rejected = entry.pending.as_ref().map_or(0, |pending| pending.rejected);
    json!({
        "id": entry.id,
        "kind": kind_of(&entry.mine),
        "held": entry.is_held(),
        "group": entry.group(),
        "rejected": reason_name(rejected),
    })
}

fn to_held(entry: &Entry) -> Value {
    let theirs = entry.base_state().version;
    let (mine, theirs) = (to_content(entry.mine.as_ref()), to_content(theirs.as_ref()));
    json!({ "id": entry.id, "mine": mine, "theirs": theirs })
}

fn to_conflicts(replica: &Replica) -> Vec<Value> {
    let records = replica.conflicts.iter().rev().map(|record| {
        let told = json!({
            "id": record.id,
            "kind": kind_of(&record.version),
            "fingerprint": to_hex(record.version.as_ref().map(|version| version.fingerprint)),
            "prevailed": to_hex(record.prevailed),
            "standard": standard_name(record.standard),
        });
        with_content(told, record.version.as_ref())
    });
    records.collect()
}

fn to_sums(replica: &Replica) -> Value {
    let (revision, total) = (replica.checkpoint.revision, replica.total);
    json!({ "revision": revision, "count": total.count, "fingerprint": to_hex(Some(total.sum)) })
}

fn to_report(report: &Report, replica: &Replica) -> Value {
    let conflicts = report.conflicts.iter().map(|(id, (standard, outcome))| {
        let prevailed = match outcome {
            Outcome::Mine => "mine",
            Outcome::Theirs => "theirs",
            Outcome::Held => "held",
        };
        json!({ "id": id, "standard": standard_name(*standard), "prevailed": prevailed })
    });
    let rejected = report
        .rejected
        .iter()
        .map(|(id, reason)| json!({ "id": id, "reason": reason_name(*reason) }));
    let recovery = report.recovery.as_ref().map(|recovery| {
        let why = match recovery.why {
            RecoveryReason::Compacted => "compacted",
            RecoveryReason::History => "history",
            RecoveryReason::Recreated => "recreated",
            RecoveryReason::Unverified => "unverified",
            RecoveryReason::Asked => "asked",
        };
        json!({ "why": why, "offered": recovery.offered })
    });
    let mut told = to_sums(replica);
    told["standard"] = standard_name(report.standard).into();
    told["received"] = report.received.into();
    told["deleted"] = report.deleted.into();
    told["sent"] = report.sent.into();
    told["sent_deletions"] = report.sent_deletions.into();
    told["settled"] = report.settled.into();
    told["conflicts"] = conflicts.collect();
    told["rejected"] = rejected.collect();
    told["contended"] = report.contended.iter().cloned().collect();
    told["round_trips"] = report.round_trips.into();
    told["recovery"] = recovery.into();
    told["verified"] = report.verified.into();
    told
}
