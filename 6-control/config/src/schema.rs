//! The JSON Schema of the file, for editors and generators.

use serde_json::Value;

use crate::raw::RawConfig;

/// The JSON Schema (draft 2020-12) of `portcullis.toml`.
#[must_use]
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(RawConfig).to_value();
    without_null(&mut schema);
    schema
}

/// Takes `null` out of the types: a key can be left out, but TOML has nothing to write for it.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(kind) = members.get_mut("type")
                && let Value::Array(kinds) = kind
            {
                kinds.retain(|kind| kind != "null");
                if let [only] = kinds.as_slice() {
                    *kind = only.clone();
                }
            }
            if let Some(Value::Array(choices)) = members.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    members.remove("anyOf");
                    members.extend(only);
                }
            }
            members.values_mut().for_each(without_null);
        }
        Value::Array(elements) => elements.iter_mut().for_each(without_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::schema;
    use crate::decode::{DecodeTable, known_keys};
    use crate::raw::{
        RawConfig, RawDpdk, RawFirewall, RawForward, RawGateway, RawInterface, RawLimits,
        RawMasquerade, RawNat, RawRoute, RawRule, RawStatic, RawTimeouts,
    };

    /// The schema of a table of the file.
    fn section(name: &str) -> Value {
        let schema = schema();
        match name {
            "" => schema,
            name => schema["$defs"][name].clone(),
        }
    }

    fn keys(schema: &Value) -> BTreeSet<String> {
        let properties = schema["properties"].as_object().expect("an object has properties");
        properties.keys().cloned().collect()
    }

    fn the_schema_has_the_keys_of<T: DecodeTable>(name: &str) {
        let schema = section(name);
        let read = known_keys::<T>().into_iter().map(str::to_owned).collect();
        assert_eq!(keys(&schema), read, "{name}");
        assert_eq!(schema["additionalProperties"], Value::Bool(false), "{name}");
        for (key, property) in schema["properties"].as_object().expect("properties") {
            assert!(property["description"].is_string(), "{name}.{key} is not described");
        }
    }

    #[test]
    fn the_schema_and_the_decoder_have_the_same_keys_and_each_is_described() {
        the_schema_has_the_keys_of::<RawConfig>("");
        the_schema_has_the_keys_of::<RawGateway>("Gateway");
        the_schema_has_the_keys_of::<RawInterface>("Interface");
        the_schema_has_the_keys_of::<RawRoute>("Route");
        the_schema_has_the_keys_of::<RawNat>("Nat");
        the_schema_has_the_keys_of::<RawMasquerade>("Masquerade");
        the_schema_has_the_keys_of::<RawForward>("Forward");
        the_schema_has_the_keys_of::<RawStatic>("Static");
        the_schema_has_the_keys_of::<RawFirewall>("Firewall");
        the_schema_has_the_keys_of::<RawRule>("Rule");
        the_schema_has_the_keys_of::<RawTimeouts>("Timeouts");
        the_schema_has_the_keys_of::<RawLimits>("Limits");
        the_schema_has_the_keys_of::<RawDpdk>("Dpdk");
    }

    #[test]
    fn what_must_be_there_is_required() {
        let required = |name| section(name)["required"].clone();
        assert_eq!(required(""), serde_json::json!(["interface"]));
        assert_eq!(required("Interface"), serde_json::json!(["name", "device"]));
        assert_eq!(required("Route"), serde_json::json!(["to"]));
        assert_eq!(required("Gateway"), Value::Null);
        assert_eq!(required("Masquerade"), serde_json::json!(["source", "out"]));
        let forward = serde_json::json!(["in", "protocol", "destination", "to"]);
        assert_eq!(required("Forward"), forward);
        assert_eq!(required("Static"), serde_json::json!(["on", "external", "internal"]));
        assert_eq!(required("Firewall"), Value::Null);
        assert_eq!(required("Rule"), serde_json::json!(["name", "action"]));
    }

    #[test]
    fn nothing_can_be_null() {
        assert!(!schema().to_string().contains("null"), "{:#}", schema());
        assert_eq!(section("Interface")["properties"]["mtu"]["type"], "integer");
        assert_eq!(section("")["properties"]["gateway"]["$ref"], "#/$defs/Gateway");
        let one_or_many = serde_json::json!(["string", "array"]);
        assert_eq!(section("Rule")["properties"]["from"]["type"], one_or_many);
        assert_eq!(section("Firewall")["properties"]["addresses"]["type"], "object");
    }

    #[test]
    fn the_schema_lets_nothing_into_sections_that_are_not_available() {
        assert_eq!(section("")["properties"]["metrics"]["not"], serde_json::json!({}));
    }

    #[test]
    fn every_key_of_the_full_example_is_in_the_schema() {
        let text = include_str!("../tests/every-key.toml");
        let example: toml::Table = text.parse().expect("the example is TOML");
        all_known(&example, "");
    }

    /// The tables that are values in a table of the file, and their definitions in the schema.
    const INNER: [(&str, &str, &str); 11] = [
        ("", "gateway", "Gateway"),
        ("", "interface", "Interface"),
        ("", "route", "Route"),
        ("", "nat", "Nat"),
        ("Nat", "masquerade", "Masquerade"),
        ("Nat", "forward", "Forward"),
        ("Nat", "static", "Static"),
        ("", "firewall", "Firewall"),
        ("Firewall", "rule", "Rule"),
        ("", "timeouts", "Timeouts"),
        ("", "limits", "Limits"),
    ];

    /// All keys of a table are in its definition, and those of an array of tables show each key of
    /// it, but for routes, which can't have them all.
    fn all_known(table: &toml::Table, definition: &str) {
        let known = keys(&section(definition));
        for (key, value) in table {
            assert!(known.contains(key), "{definition}.{key}");
            let inner = INNER.iter().find(|&&(outer, name, _)| outer == definition && name == key);
            let Some((_, _, inner)) = inner else { continue };
            match value {
                toml::Value::Table(table) => all_known(table, inner),
                toml::Value::Array(all) => {
                    tables(all).into_iter().for_each(|table| all_known(table, inner));
                    let shown: BTreeSet<&String> =
                        tables(all).into_iter().flat_map(toml::Table::keys).collect();
                    let rest = keys(&section(inner));
                    let rest: Vec<_> = rest.iter().filter(|key| !shown.contains(key)).collect();
                    assert!(rest.is_empty() || *inner == "Route", "{inner}: not shown: {rest:?}");
                }
                other => panic!("{key} is {other}"),
            }
        }
    }

    fn tables(all: &[toml::Value]) -> Vec<&toml::Table> {
        all.iter().filter_map(toml::Value::as_table).collect()
    }
}
