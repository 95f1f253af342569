//! A schema as types of TypeScript: what a program needs to write queries and read results without `any`.
//!
//! Objects and inputs are interfaces, enums are unions of their values, scalars are what their JSON is. The
//! interface `Arguments` has, by type and field, what the field takes. `tsc --strict` accepts the text.

use apollo_compiler::Node;
use apollo_compiler::ast::{InputValueDefinition, Type};
use apollo_compiler::schema::{ExtendedType, FieldDefinition};

use super::schema::Schema;
use super::text::text;

/// The types of a schema.
#[must_use]
pub fn typescript(schema: &Schema) -> String {
    let mut text = "// The types of a GraphQL schema that walcast made of a database.\n".to_owned();
    let mut arguments = String::new();
    for (name, definition) in &schema.definitions.types {
        if definition.is_built_in() {
            continue;
        }
        text.push('\n');
        described(&mut text, definition.description(), "");
        match definition {
            ExtendedType::Scalar(_) => text!(text, "export type {name} = {};\n", scalar(name)),
            ExtendedType::Enum(kind) => {
                let values: Vec<_> = kind.values.keys().map(|value| format!("\"{value}\"")).collect();
                text!(text, "export type {name} = {};\n", values.join(" | "));
            }
            ExtendedType::InputObject(kind) => {
                text!(text, "export interface {name} {{\n");
                inputs(&mut text, kind.fields.values().map(|field| &field.node), "  ");
                text.push_str("}\n");
            }
            ExtendedType::Object(kind) => {
                text!(text, "export interface {name} {{\n  __typename?: \"{name}\";\n");
                for field in kind.fields.values() {
                    described(&mut text, field.description.as_ref(), "  ");
                    text!(text, "  {}: {};\n", field.name, output(&field.ty));
                }
                text.push_str("}\n");
                let fields = kind.fields.values().map(|field| &field.node);
                fields_with_arguments(&mut arguments, name, fields);
            }
            // The schema has neither.
            ExtendedType::Interface(_) | ExtendedType::Union(_) => {}
        }
    }
    text!(
        text,
        "\n/** What fields take, by type and field. */\nexport interface Arguments {{\n{arguments}}}\n"
    );
    text
}

fn fields_with_arguments<'a>(
    text: &mut String,
    name: &str,
    fields: impl Iterator<Item = &'a Node<FieldDefinition>>,
) {
    let fields: Vec<_> = fields.filter(|field| !field.arguments.is_empty()).collect();
    if fields.is_empty() {
        return;
    }
    text!(text, "  {name}: {{\n");
    for field in fields {
        text!(text, "    {}: {{\n", field.name);
        inputs(text, field.arguments.iter(), "      ");
        text.push_str("    };\n");
    }
    text.push_str("  };\n");
}

fn inputs<'a>(text: &mut String, values: impl Iterator<Item = &'a Node<InputValueDefinition>>, indent: &str) {
    for value in values {
        described(text, value.description.as_ref(), indent);
        let required = value.ty.is_non_null() && value.default_value.is_none();
        let mark = if required { "" } else { "?" };
        text!(text, "{indent}{}{mark}: {};\n", value.name, output(&value.ty));
    }
}

fn output(kind: &Type) -> String {
    match kind {
        Type::NonNullNamed(name) => named(name).to_owned(),
        Type::Named(name) => format!("{} | null", named(name)),
        Type::NonNullList(of) => match of.as_ref() {
            Type::NonNullNamed(_) | Type::NonNullList(_) => format!("{}[]", output(of)),
            Type::Named(_) | Type::List(_) => format!("({})[]", output(of)),
        },
        Type::List(of) => format!("{} | null", output(&Type::NonNullList(of.clone()))),
    }
}

fn named(name: &str) -> &str {
    match name {
        "ID" | "String" => "string",
        "Int" | "Float" => "number",
        "Boolean" => "boolean",
        name => name,
    }
}

/// What a scalar of ours is in JSON.
fn scalar(name: &str) -> &'static str {
    if name == "JSON" { "unknown" } else { "string" }
}

fn described(text: &mut String, description: Option<&Node<str>>, indent: &str) {
    let Some(description) = description else { return };
    // Nothing in a comment may end it.
    let description = description.replace("*/", "*\\/");
    if description.contains('\n') {
        text!(text, "{indent}/**\n");
        for line in description.lines() {
            let line = format!("{indent} * {line}");
            text!(text, "{}\n", line.trim_end());
        }
        text!(text, "{indent} */\n");
    } else {
        text!(text, "{indent}/** {description} */\n");
    }
}
