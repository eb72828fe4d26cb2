//! Writes the impl.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Result, parse_quote};

use crate::options::Options;

/// The `Message` impl of `item`.
pub(crate) fn message(item: &DeriveInput) -> Result<TokenStream> {
    if let Data::Union(data) = &item.data {
        return Err(Error::new(data.union_token.span, "a message is a struct or an enum"));
    }
    let options = Options::read(&item.attrs)?;
    let krate = options.krate.unwrap_or_else(|| parse_quote!(::horde));
    let reply = options.reply.unwrap_or_else(|| parse_quote!(()));
    let name = match options.name {
        Some(name) => name.value(),
        None => snake_case(&item.ident.to_string()),
    };
    let ident = &item.ident;
    let mut generics = item.generics.clone();
    if !generics.params.is_empty() {
        let (_, types, _) = item.generics.split_for_impl();
        generics.make_where_clause().predicates.push(parse_quote!(
            #ident #types: #krate::__private::MessageValue
        ));
    }
    let (params, types, bounds) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #params #krate::Message for #ident #types #bounds {
            const NAME: &'static str = #name;
            type Reply = #reply;
        }
    })
}

/// `NextCode` becomes `next_code`, `HTTPGet` becomes `http_get`.
fn snake_case(name: &str) -> String {
    let letters: Vec<char> = name.trim_start_matches("r#").chars().collect();
    let mut snake = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let after_lower = at > 0 && (letters[at - 1].is_lowercase() || letters[at - 1].is_ascii_digit());
        let ends_acronym = at > 0
            && letters[at - 1].is_uppercase()
            && letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && (after_lower || ends_acronym) {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_name_becomes_snake_case() {
        for (name, snake) in
            [("Greet", "greet"), ("NextCode", "next_code"), ("HTTPGet", "http_get"), ("V2Sync", "v2_sync")]
        {
            assert_eq!(snake_case(name), snake);
        }
    }

    #[test]
    fn a_message_without_options_answers_unit_and_lives_in_horde() {
        let item: DeriveInput = parse_quote!(
            struct Add {
                item: String,
            }
        );
        let written = message(&item).unwrap().to_string();
        assert!(written.contains(":: horde :: Message for Add"), "{written}");
        assert!(written.contains("\"add\"") && written.contains("type Reply = ()"), "{written}");
    }

    #[test]
    fn a_repeated_or_unknown_option_is_refused() {
        let twice: DeriveInput = parse_quote!(
            #[message(name = "a", name = "b")]
            struct Add;
        );
        assert!(message(&twice).unwrap_err().to_string().contains("twice"));
        let unknown: DeriveInput = parse_quote!(
            #[message(answer = u8)]
            struct Add;
        );
        assert!(message(&unknown).unwrap_err().to_string().contains("unknown option"));
    }
}
