//! Holds what needs no network against ../../vectors.

use std::fs::read_to_string;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tercet_client::change_info::{UNPROVED, read_changes};
use tercet_client::compare::{compare, compare_recovered, judge};
use tercet_client::error::Result;
use tercet_client::fingerprint::{
    Fingerprint, RangeSum, decode_bounds, encode_bounds, fingerprint_of, is_id,
};
use tercet_client::item::{Content, Entry, Pending, State, Version};
use tercet_client::proto::{
    self, ChangeInfo, ChangeKind, ChangeStandard, FingerprintAlgorithm, IdBounds, RangeFingerprint,
    change_info,
};
use tercet_client::replica::Replica;

fn vectors(name: &str) -> Value {
    let path = format!("{}/../vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    expanded(&serde_json::from_str(&read_to_string(path).unwrap()).unwrap())
}

/// Writes out what is repeated.
fn expanded(value: &Value) -> Value {
    let repeat = &value["$repeat"];
    let count = repeat["count"].as_u64().unwrap_or(0) as usize;
    match value {
        Value::Object(_) if repeat["text"].is_string() => {
            text(&repeat["text"]).repeat(count).into()
        }
        Value::Object(_) if repeat.is_object() => vec![expanded(&repeat["item"]); count].into(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), expanded(value)));
            Map::from_iter(fields).into()
        }
        Value::Array(items) => items.iter().map(expanded).collect(),
        _ => value.clone(),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn texts(value: &Value) -> Vec<&str> {
    list(value).iter().map(text).collect()
}

/// A number, be it written as one or as a string.
fn number(value: &Value) -> i64 {
    value.as_i64().or_else(|| text(value).parse().ok()).unwrap_or(0)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(pair).collect()
}

/// A fingerprint in hex; null for none.
fn fingerprint(value: &Value) -> Option<Fingerprint> {
    value.as_str().map(|digits| unhex(digits).try_into().unwrap())
}

fn content_of(case: &Value) -> Vec<u8> {
    if let Some(text) = case["text"].as_str() {
        return text.into();
    }
    if let Some(data) = case["data"].as_str() {
        return unhex(data);
    }
    let (seed, size) = (text(&case["seed"]["seed"]), number(&case["seed"]["size"]) as usize);
    let blocks = (0..=size / 32).flat_map(|block| Sha256::digest(format!("{seed}:{block}")));
    blocks.take(size).collect()
}

#[test]
fn fingerprints_of_items() {
    for case in list(&vectors("fingerprints")["cases"]) {
        let own = fingerprint_of(text(&case["id"]), &content_of(case));
        assert_eq!(hex(&own), case["fingerprint"], "{}", case["name"]);
    }
}

#[test]
fn fingerprints_of_ranges() {
    for case in list(&vectors("range-fingerprints")["cases"]) {
        let mut total = RangeSum::default();
        for added in list(&case["add"]) {
            total = total + RangeSum::of(fingerprint(added));
        }
        for at in 0..number(&case["addNumbered"]) {
            let numbered = fingerprint_of(&format!("item-{at}"), at.to_string().as_bytes());
            total = total + RangeSum::of(Some(numbered));
        }
        for taken in list(&case["subtract"]) {
            total = total - RangeSum::of(fingerprint(taken));
        }
        assert_eq!(total.count, number(&case["count"]), "{}", case["name"]);
        assert_eq!(hex(&total.sum), case["sum"], "{}", case["name"]);
    }
}

#[test]
fn ids_and_names_of_collections() {
    let ids = vectors("ids");
    assert!(texts(&ids["ordered"]).is_sorted());
    for case in list(&ids["ids"]) {
        assert_eq!(is_id(text(&case["id"])), case["valid"], "{}", case["name"]);
    }
    for case in list(&ids["collectionNames"]) {
        assert_eq!(Replica::new(text(&case["name"])).is_ok(), case["valid"], "{}", case["name"]);
    }
}

fn to_bounds(coded: &Value) -> IdBounds {
    let shared = list(&coded["shared"]).iter().map(|count| number(count) as u32);
    let rest = texts(&coded["rest"]).into_iter().map(str::to_owned);
    IdBounds { shared: shared.collect(), rest: rest.collect() }
}

#[test]
fn bounds() {
    let ids = vectors("ids");
    for case in list(&ids["bounds"]) {
        let (bounds, coded) = (texts(&case["bounds"]), to_bounds(&case["coded"]));
        assert_eq!(encode_bounds(bounds.iter().copied()), coded);
        assert_eq!(decode_bounds(&coded).unwrap(), bounds);
    }
    for case in list(&ids["badBounds"]) {
        assert_eq!(decode_bounds(&to_bounds(&case["coded"])), None, "{}", case["name"]);
    }
}

/// The item `x` of a case of comparison.json; `contents` says what its contents stand for.
struct Comparing<'a> {
    contents: &'a Value,
    case: &'a Value,
}

impl Comparing<'_> {
    fn fingerprint(&self, name: &Value) -> Option<Fingerprint> {
        name.as_str().and_then(|name| fingerprint(&self.contents[name]))
    }

    fn state(&self, told: &Value) -> State {
        let fingerprint = self.fingerprint(&told["content"]);
        State { fingerprint, ..State::absent("x", number(&told["revision"])) }
    }

    fn entry(&self) -> Entry {
        let client = &self.case["client"];
        let (base, pending) = (&client["base"], &client["pending"]);
        let now = if pending.is_object() { pending } else { base };
        let content = Content::Text("".into());
        let version = |fingerprint| Version { fingerprint, content };
        Entry {
            mine: self.fingerprint(&now["content"]).map(version),
            base: base.is_object().then(|| self.state(base)),
            pending: pending.is_object().then(Pending::default),
            ..Entry::default()
        }
    }

    fn check(&self) {
        let sendings = list(&self.case["client"]["sendings"]).iter();
        let sendings: Vec<_> = sendings.map(|name| self.fingerprint(name)).collect();
        let (entry, theirs) = (self.entry(), self.state(&self.case["server"]));
        let found = match self.case["fork"].as_i64() {
            None => compare(&entry, &sendings, &theirs),
            Some(fork) => compare_recovered(&entry, &sendings, &theirs, fork),
        };
        assert_eq!(format!("{found:?}").to_lowercase(), self.case["comparison"], "{}", self.case);
    }
}

#[test]
fn comparisons() {
    let vectors = vectors("comparison");
    let contents = &vectors["contents"];
    for case in [list(&vectors["cases"]), list(&vectors["recoveryCases"])].concat() {
        Comparing { contents, case: &case }.check();
    }
}

#[test]
fn standards() {
    let vectors = vectors("standards");
    for case in [list(&vectors["judgements"]), list(&vectors["groups"])].concat() {
        let (mine, theirs) = (&case["mine"], &case["theirs"]);
        let latest = list(&mine["groupTimesUs"]).iter().map(number).max();
        let state = State {
            fingerprint: fingerprint(&theirs["fingerprint"]),
            time_us: number(&theirs["modifyTimeUs"]),
            ..State::absent("x", 1)
        };
        let outcome = judge(
            ChangeStandard::from_str_name(text(&case["standard"])).unwrap(),
            fingerprint(&mine["fingerprint"]),
            latest.unwrap_or(number(&mine["modifyTimeUs"])),
            &state,
        );
        assert_eq!(format!("{outcome:?}").to_lowercase(), case["prevails"], "{}", case["name"]);
    }
}

/// An enum of protobuf JSON: a name, or the number of one that is unknown.
fn to_enum<E: Into<i32>>(value: &Value, from_name: fn(&str) -> Option<E>) -> i32 {
    from_name(text(value)).map_or(number(value) as i32, E::into)
}

fn to_algorithm(message: &Value) -> i32 {
    to_enum(&message["algorithm"], FingerprintAlgorithm::from_str_name)
}

fn to_bytes(value: &Value) -> Vec<u8> {
    BASE64_STANDARD.decode(text(value)).unwrap()
}

fn to_changes(changes: &Value) -> Vec<ChangeInfo> {
    let change = |info: &Value| ChangeInfo {
        id: text(&info["id"]).to_owned(),
        kind: to_enum(&info["kind"], ChangeKind::from_str_name),
        revision: number(&info["revision"]),
        fingerprint: info["fingerprint"].is_object().then(|| proto::Fingerprint {
            algorithm: to_algorithm(&info["fingerprint"]),
            value: to_bytes(&info["fingerprint"]["value"]),
        }),
        size: number(&info["size"]),
        modify_time_us: number(&info["modifyTimeUs"]),
        group: number(&info["group"]),
        content: match (info["text"].as_str(), info["data"].is_string()) {
            (Some(text), _) => Some(change_info::Content::Text(text.to_owned())),
            (None, true) => Some(change_info::Content::Data(to_bytes(&info["data"]))),
            (None, false) => None,
        },
    };
    list(changes).iter().map(change).collect()
}

fn read_page(page: &Value) -> Result<Vec<State>> {
    let proof = page["fingerprint"].is_object().then(|| RangeFingerprint {
        count: number(&page["fingerprint"]["count"]),
        sum: to_bytes(&page["fingerprint"]["sum"]),
        algorithm: to_algorithm(&page["fingerprint"]),
    });
    read_changes(to_changes(&page["changes"]), proof.as_ref())
}

#[test]
fn pages() {
    let vectors = vectors("pages");
    for case in list(&vectors["coded"]) {
        let whole = read_changes(to_changes(&case["changes"]), None).unwrap();
        assert_eq!(read_page(&case["page"]).unwrap(), whole, "{}", case["name"]);
    }
    for case in list(&vectors["read"]) {
        let Ok(states) = read_page(&case["page"]) else {
            assert_ne!(list(&case["unknown"]), [] as [Value; 0], "{}", case["name"]);
            continue;
        };
        assert_eq!(list(&case["unknown"]), [] as [Value; 0], "{}", case["name"]);
        let is_doubtful = |state: &&State| state.fingerprint == Some(UNPROVED);
        let (doubtful, good): (Vec<&State>, Vec<&State>) = states.iter().partition(is_doubtful);
        let ids = |states: Vec<&State>| -> Vec<String> {
            states.iter().map(|state| state.id.clone()).collect()
        };
        assert_eq!(ids(good), texts(&case["good"]), "{}", case["name"]);
        assert_eq!(ids(doubtful), texts(&case["doubtful"]), "{}", case["name"]);
    }
}
