//! What `#[message(..)]` says.

use syn::{Attribute, Error, LitStr, Path, Result, Type};

/// The longest name of a message, in bytes.
const MAX_NAME: usize = 64;

/// The options of one message, each absent unless written.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) reply: Option<Type>,
    pub(crate) name: Option<LitStr>,
    pub(crate) krate: Option<Path>,
}

impl Options {
    /// Reads them from all `#[message(..)]` attributes of an item.
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut options = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("message")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("reply") {
                    once(&mut options.reply, &meta, meta.value()?.parse()?)
                } else if meta.path.is_ident("name") {
                    let name: LitStr = meta.value()?.parse()?;
                    match name.value().len() {
                        1..=MAX_NAME => once(&mut options.name, &meta, name),
                        _ => {
                            Err(Error::new(name.span(), format!("a message name has 1 to {MAX_NAME} bytes")))
                        }
                    }
                } else if meta.path.is_ident("crate") {
                    let path: LitStr = meta.value()?.parse()?;
                    once(&mut options.krate, &meta, path.parse()?)
                } else {
                    Err(meta.error(
                        "unknown option: expected `reply = Type`, `name = \"..\"` or `crate = \"..\"`",
                    ))
                }
            })?;
        }
        Ok(options)
    }
}

fn once<T>(slot: &mut Option<T>, meta: &syn::meta::ParseNestedMeta<'_>, value: T) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(meta.error("written twice")),
    }
}
