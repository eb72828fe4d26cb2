//! Derives horde messages.
//!
//! Used through `horde` or `horde-process`, which re-export the derive beside the trait it implements.

mod expand;
mod options;

/// Implements `Message` for a struct or an enum that is `Serialize` and `DeserializeOwned`.
///
/// `#[message(..)]` takes, in any order and each at most once:
/// - `reply = Type`: what a call is answered with; `()` if absent;
/// - `name = "text"`: the name on the wire, 1 to 64 bytes; the type's name in snake_case if absent. Fix it here before you rename
///   a type that nodes of an older build may send;
/// - `crate = "path"`: where the trait is; `::horde` if absent.
///
/// # Errors
/// A union, a name of another length, an unknown or repeated option: each is a compile error at its place.
#[proc_macro_derive(Message, attributes(message))]
pub fn message(item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let item = syn::parse_macro_input!(item as syn::DeriveInput);
    expand::message(&item).unwrap_or_else(syn::Error::into_compile_error).into()
}
