//! Enumerations whose values are names.

/// Makes enumerations that are written by their names, in answers and elsewhere.
macro_rules! names {
    ($( $(#[$doc:meta])* $name:ident { $( $(#[$of:meta])* $variant:ident = $text:literal, )+ } )+) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
        pub enum $name {
            $( $(#[$of])* #[serde(rename = $text)] $variant, )+
        }

        impl $name {
            /// As it is written in answers and tables.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $text, )+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }
    )+ };
}
