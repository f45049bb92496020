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
    use crate::raw::{RawConfig, RawGateway, RawInterface, RawRoute};

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
    }

    #[test]
    fn what_must_be_there_is_required() {
        let required = |name| section(name)["required"].clone();
        assert_eq!(required(""), serde_json::json!(["interface"]));
        assert_eq!(required("Interface"), serde_json::json!(["name", "device"]));
        assert_eq!(required("Route"), serde_json::json!(["to"]));
        assert_eq!(required("Gateway"), Value::Null);
    }

    #[test]
    fn nothing_can_be_null() {
        assert!(!schema().to_string().contains("null"), "{:#}", schema());
        assert_eq!(section("Interface")["properties"]["mtu"]["type"], "integer");
        assert_eq!(section("")["properties"]["gateway"]["$ref"], "#/$defs/Gateway");
    }

    #[test]
    fn the_schema_lets_nothing_into_sections_that_are_not_available() {
        assert_eq!(section("")["properties"]["metrics"]["not"], serde_json::json!({}));
    }

    #[test]
    fn every_key_of_the_full_example_is_in_the_schema() {
        let text = include_str!("../tests/every-key.toml");
        let example: toml::Table = text.parse().expect("the example is TOML");
        let top = section("");
        for (name, value) in &example {
            assert!(keys(&top).contains(name), "{name}");
            let (table, definition) = match (name.as_str(), value) {
                ("gateway", toml::Value::Table(table)) => (vec![table], "Gateway"),
                ("interface", toml::Value::Array(all)) => (tables(all), "Interface"),
                ("route", toml::Value::Array(all)) => (tables(all), "Route"),
                _ => continue,
            };
            let known = keys(&section(definition));
            for key in table.iter().flat_map(|table| table.keys()) {
                assert!(known.contains(key), "{name}.{key}");
            }
        }
    }

    fn tables(all: &[toml::Value]) -> Vec<&toml::Table> {
        all.iter().filter_map(toml::Value::as_table).collect()
    }
}
