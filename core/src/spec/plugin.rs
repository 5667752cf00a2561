//! `Name(field: value, …)`: a plugin's configuration, kept as text until the registry is known.

use super::{Span, Spanned};

/// A plugin as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginSpec {
    /// The plugin's name; empty where `read` has reported that there is none.
    pub name: Spanned<String>,
    /// The raw RON, name included.
    pub text: String,
    /// The place of `text`.
    pub span: Span,
    /// Its fields, in order; a repeated one is here twice.
    pub fields: Vec<FieldSpec>,
}

/// A field of a plugin as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldSpec {
    /// Its name.
    pub name: Spanned<String>,
    /// The place of its value.
    pub value: Span,
}
