//! Shapes of values that TOML has no types for.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use toml::Spanned;
use toml::de::DeValue;

use super::List;
use crate::decode::{Decode, Place, mismatch};
use crate::diagnostic::Diagnostics;
use crate::source::Located;

/// Texts, of which a single one may stand without brackets.
#[derive(Clone)]
pub(crate) struct OneOrMany(pub(crate) List<String>);

impl Decode for OneOrMany {
    fn decode(
        value: &Spanned<DeValue<'_>>,
        place: Place<'_>,
        errors: &mut Diagnostics,
    ) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(text) => {
                let text = text.clone().into_owned();
                Some(Self(vec![Located { value: text, span: value.span() }]))
            }
            DeValue::Array(_) => List::decode(value, place, errors).map(Self),
            other => {
                let expected = "a string, in quotes, or an array of strings";
                mismatch(other, value.span(), place, expected, errors)
            }
        }
    }
}

impl Serialize for OneOrMany {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            many => many.serialize(serializer),
        }
    }
}

impl JsonSchema for OneOrMany {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "OneOrMany".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "array"],
            "items": { "type": "string" },
            "minItems": 1,
        })
    }
}

/// A table whose keys are names that the file gives, each for a list.
pub(crate) struct NamedLists(pub(crate) Vec<NamedList>);

/// A name, and the list that it is for.
pub(crate) struct NamedList {
    pub(crate) name: Located<String>,
    /// `None`: it could not be read.
    pub(crate) list: Option<Located<List<String>>>,
}

impl Decode for NamedLists {
    fn decode(
        value: &Spanned<DeValue<'_>>,
        place: Place<'_>,
        errors: &mut Diagnostics,
    ) -> Option<Self> {
        let DeValue::Table(entries) = value.get_ref() else {
            let expected = "a table of lists, by name";
            return mismatch(value.get_ref(), value.span(), place, expected, errors);
        };
        let lists = entries.iter().map(|(key, value)| {
            let name = Located { value: key.get_ref().clone().into_owned(), span: key.span() };
            let list = List::decode(value, Place::Value(&name.value), errors);
            let list = list.map(|list| Located { value: list, span: value.span() });
            NamedList { name, list }
        });
        Some(Self(lists.collect()))
    }
}

impl Serialize for NamedLists {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|one| (&one.name.value, &one.list)))
    }
}

impl JsonSchema for NamedLists {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "NamedLists".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z][A-Za-z0-9._-]{0,63}$" },
            "additionalProperties": {
                "type": "array",
                "items": { "type": "string" },
                "minItems": 1,
            },
        })
    }
}
