//! Values that are one of a few words.

/// An enum of words, each with its spelling in the file.
macro_rules! word_type {
    (
        $(#[$doc:meta])* $name:ident {
            $( $(#[$word_doc:meta])* $word:ident = $text:literal, )+
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $name {
            $( $(#[$word_doc])* $word, )+
        }

        impl $name {
            /// The word in the file.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$word => $text, )+
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::check::Expected;

            fn from_str(text: &str) -> Result<Self, crate::check::Expected> {
                match text {
                    $( $text => Ok(Self::$word), )+
                    _ => Err(crate::word::one_of(&[$( $text ),+])),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

pub(crate) use word_type;

/// "`a`, `b` or `c`"
pub(crate) fn one_of(words: &[&str]) -> crate::check::Expected {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    let text = match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    };
    crate::check::Expected::new(text)
}
