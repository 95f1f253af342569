//! Random catalogs: whatever a database calls its things, the schema is one that GraphQL allows.

use std::collections::HashSet;

use apollo_compiler::Name;
use apollo_compiler::ast::Type;
use apollo_compiler::schema::ExtendedType;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;

use crate::graphql::catalog::{
    Argument, Catalog, Column, ForeignKey, Function, Reading, Relation, RelationKind, Type as SqlType,
    TypeKind, Volatility,
};
use crate::graphql::model::{Field, Model, RootField};
use crate::graphql::modelling::functions::input_name;
use crate::graphql::schema::{Schema, SchemaError};
use crate::graphql::tags::Names;
use crate::graphql::typescript::typescript;

/// Few, so that they meet; and what GraphQL or we ourselves use.
const NAMES: [&str; 40] = [
    "user",
    "users",
    "User",
    "news",
    "data",
    "datum",
    "id",
    "user_id",
    "users_id",
    "news_id",
    "and",
    "or",
    "not",
    "not_id",
    "",
    "_",
    "__typename",
    "1",
    "2fa",
    "日本",
    "a b",
    "a_b",
    "aB",
    "query",
    "mutation",
    "is",
    "string",
    "string_filter",
    "int_list_filter",
    "user_filter",
    "user_aggregate",
    "users_aggregate",
    "user_by_id",
    "bid_input",
    "bid",
    "limit",
    "filter",
    "order_direction",
    "date",
    "s",
];
const COMMENTS: [&str; 9] = [
    "",
    "\"\"\"",
    "\\",
    "\"",
    "a\u{7}b\r\nc\u{2028}",
    "@walcast name user",
    "@walcast omit",
    "@walcast name __x",
    "@walcast depends_on users(id = user_id)\n */ \\\"\"\"",
];

fn name() -> impl Strategy<Value = String> {
    prop_oneof![9 => select(&NAMES[..]).prop_map(str::to_owned), 1 => ".{0,6}"]
}

fn comment() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        3 => Just(None),
        1 => select(&COMMENTS[..]).prop_map(|comment| Some(comment.to_owned())),
        1 => ".{0,12}".prop_map(Some)
    ]
}

/// Oids of types are 1 and up, row types are those of relations, 1000 and up; some refer to nothing.
fn kind() -> impl Strategy<Value = u32> {
    prop_oneof![6 => 1..24_u32, 1 => 1000..1006_u32]
}

fn types() -> impl Strategy<Value = Vec<SqlType>> {
    let builtin = select(vec![
        "bool",
        "int4",
        "int8",
        "text",
        "numeric",
        "float8",
        "jsonb",
        "json",
        "uuid",
        "date",
        "timetz",
        "interval",
        "timestamptz",
        "inet",
        "point",
    ]);
    let shape = prop_oneof![
        6 => builtin.prop_map(|name| (Some(name.to_owned()), TypeKind::Base)),
        1 => Just((None, TypeKind::Base)),
        2 => btree_set(name(), 0..4).prop_map(|labels| (None, TypeKind::Enum(labels.into_iter().collect()))),
        2 => kind().prop_map(|base| (None, TypeKind::Domain { base, not_null: false })),
        2 => kind().prop_map(|of| (None, TypeKind::Array(of))),
        1 => (100..106_u32).prop_map(|relation| (None, TypeKind::Composite(relation))),
    ];
    vec((shape, name(), any::<bool>(), any::<bool>(), comment()), 8..22).prop_map(|types| {
        let types = types.into_iter().zip(1..);
        let types = types.map(|(((builtin, kind), name, ordered, comparable, comment), oid)| SqlType {
            oid,
            schema: if builtin.is_some() { "pg_catalog" } else { "public" }.to_owned(),
            name: builtin.unwrap_or(name),
            sql: "t".to_owned(),
            kind,
            ordered,
            comparable,
            comment,
        });
        types.collect()
    })
}

fn relation() -> impl Strategy<Value = Relation> {
    let kinds = select(vec![
        RelationKind::Table,
        RelationKind::Table,
        RelationKind::View,
        RelationKind::MaterializedView,
        RelationKind::ForeignTable,
        RelationKind::CompositeType,
    ]);
    let column = (name(), kind(), any::<bool>(), comment());
    let numbers = || vec(1..6_i16, 0..3);
    (
        name(),
        select(vec!["public", "auth"]),
        kinds,
        vec(column, 0..6),
        numbers(),
        vec(numbers(), 0..3),
        comment(),
    )
        .prop_map(|(name, schema, kind, columns, primary_key, unique_keys, comment)| {
            let columns = columns.into_iter().zip(1..);
            let columns = columns.map(|((name, kind, not_null, comment), number)| Column {
                number,
                name,
                kind,
                not_null,
                comment,
            });
            Relation {
                oid: 0,
                row_type: 0,
                schema: schema.to_owned(),
                name,
                kind,
                row_security: false,
                comment,
                columns: columns.collect(),
                primary_key,
                unique_keys,
                reads: Reading::default(),
            }
        })
}

fn foreign_key() -> impl Strategy<Value = ForeignKey> {
    (name(), 100..106_u32, vec((1..6_i16, 1..6_i16), 0..3), 100..106_u32, comment()).prop_map(
        |(name, relation, pairs, target, comment)| {
            let (columns, target_columns) = pairs.into_iter().unzip();
            ForeignKey { name, relation, columns, target, target_columns, comment }
        },
    )
}

fn function() -> impl Strategy<Value = Function> {
    let volatility = select(vec![Volatility::Immutable, Volatility::Stable, Volatility::Volatile]);
    let argument = (proptest::option::of(name()), kind(), any::<bool>())
        .prop_map(|(name, kind, has_default)| Argument { name, kind, has_default });
    (name(), volatility, vec(argument, 0..4), proptest::option::of(kind()), any::<bool>(), comment())
        .prop_map(|(name, volatility, arguments, returns, returns_set, comment)| Function {
            oid: 0,
            schema: "public".to_owned(),
            name,
            volatility,
            strict: false,
            arguments,
            returns,
            returns_set,
            comment,
            reads: Reading::default(),
        })
}

fn catalog() -> impl Strategy<Value = Catalog> {
    (types(), vec(relation(), 0..6), vec(foreign_key(), 0..8), vec(function(), 0..8)).prop_map(
        |(mut types, mut relations, foreign_keys, functions)| {
            for (relation, place) in relations.iter_mut().zip(0..) {
                relation.oid = 100 + place;
                relation.row_type = 1000 + place;
                types.push(SqlType {
                    oid: relation.row_type,
                    schema: relation.schema.clone(),
                    name: relation.name.clone(),
                    sql: "t".to_owned(),
                    kind: TypeKind::Composite(relation.oid),
                    ordered: false,
                    comparable: false,
                    comment: None,
                });
            }
            Catalog { relations, foreign_keys, types, functions, ..Catalog::default() }
        },
    )
}

/// What the planner relies on: every name of the model is one of the schema, and nothing else is.
fn agree(model: &Model, schema: &Schema) {
    let definitions = &schema.definitions;
    let object = |name: &str| definitions.get_object(name).unwrap_or_else(|| panic!("no type {name}"));
    let takes = |parent: &str, field: &str, argument: &str| {
        let field = definitions.type_field(parent, field).unwrap();
        assert!(field.argument_by_name(argument).is_some(), "{parent}.{} takes no {argument}", field.name);
    };
    for entity in &model.entities {
        let object = object(&entity.name);
        assert!(entity.fields.keys().eq(object.fields.keys().map(Name::as_str)), "{}", entity.name);
        assert_eq!(model.entities[model.types[&entity.name]].oid, entity.oid);
        for (name, field) in &entity.fields {
            match field {
                Field::Column(id) => assert_eq!(entity.field_of(*id), Some(name.as_str())),
                Field::One(relationship) => {
                    let target = &model.entities[relationship.target];
                    assert_eq!(object.fields[name.as_str()].ty.inner_named_type(), target.name.as_str());
                }
                Field::Many(_) => {
                    for argument in ["filter", "limit", "offset"] {
                        takes(&entity.name, name, argument);
                    }
                }
                Field::Aggregate(_) => takes(&entity.name, name, "filter"),
                Field::Function(id) => {
                    let function = &model.functions[*id];
                    assert_eq!(function.field, *name);
                    function.arguments.iter().for_each(|argument| takes(&entity.name, name, &argument.field));
                }
            }
        }
        if entity.selectable {
            let filter = definitions.get_input_object(&format!("{}Filter", entity.name)).unwrap();
            for name in filter.fields.keys().filter(|name| !["and", "or", "not"].contains(&name.as_str())) {
                assert!(entity.fields.contains_key(name.as_str()));
            }
            if let Some(order) = definitions.get_input_object(&format!("{}Order", entity.name)) {
                assert!(order.fields.keys().all(|name| entity.fields.contains_key(name.as_str())));
            }
        }
    }
    let query = object("Query");
    assert!(model.query.keys().eq(query.fields.keys().map(Name::as_str)));
    for (name, field) in &model.query {
        match field {
            RootField::List(id) => {
                takes("Query", name, "filter");
                assert!(matches!(&query.fields[name.as_str()].ty, Type::NonNullList(_)));
                assert!(model.entities[*id].selectable);
            }
            RootField::ByKey(id, key) => key
                .iter()
                .for_each(|column| takes("Query", name, model.entities[*id].field_of(*column).unwrap())),
            RootField::Aggregate(_) => takes("Query", name, "filter"),
            RootField::Function(id) => {
                model.functions[*id]
                    .arguments
                    .iter()
                    .for_each(|argument| takes("Query", name, &argument.field));
            }
        }
    }
    for (name, id) in &model.mutation {
        let function = &model.functions[*id];
        assert_eq!(function.field, *name);
        assert!(object("Mutation").fields.contains_key(name.as_str()));
        if !function.arguments.is_empty() {
            let input = definitions.get_input_object(&input_name(name)).unwrap();
            let fields: HashSet<_> = input.fields.keys().map(Name::as_str).collect();
            assert_eq!(fields, function.arguments.iter().map(|argument| argument.field.as_str()).collect());
        }
    }
    for kind in &model.enums {
        let Some(ExtendedType::Enum(definition)) = definitions.types.get(kind.name.as_str()) else {
            panic!("no enum {}", kind.name)
        };
        assert!(
            kind.values
                .iter()
                .map(|(value, _)| value.as_str())
                .eq(definition.values.keys().map(Name::as_str))
        );
    }
}

proptest! {
    #[test]
    fn every_catalog_gives_a_valid_schema_that_agrees_with_its_model(catalog in catalog()) {
        let names = Names::parse(&["public.user=Query", "public.users.id=or"], &["public.news.id"]).unwrap();
        match Schema::of(&catalog, &names) {
            Ok(schema) => {
                agree(&schema.model, &schema);
                prop_assert!(!typescript(&schema).is_empty());
            }
            Err(SchemaError::Empty) => {}
            Err(error) => prop_assert!(false, "{error}"),
        }
    }

    #[test]
    fn the_order_in_which_the_catalog_comes_changes_nothing(catalog in catalog()) {
        let catalog = distinct(catalog);
        let mut reversed = catalog.clone();
        reversed.relations.reverse();
        reversed.types.reverse();
        reversed.foreign_keys.reverse();
        let one = Schema::of(&catalog, &Names::default()).map(|schema| schema.sdl).ok();
        let other = Schema::of(&reversed, &Names::default()).map(|schema| schema.sdl).ok();
        prop_assert_eq!(one, other);
    }
}

/// Leaves out what Postgres would not allow beside another of its schema and name.
fn distinct(mut catalog: Catalog) -> Catalog {
    let (mut relations, mut types, mut keys) = (HashSet::new(), HashSet::new(), HashSet::new());
    catalog.relations.retain(|relation| relations.insert((relation.schema.clone(), relation.name.clone())));
    catalog.types.retain(|kind| types.insert((kind.schema.clone(), kind.name.clone())));
    catalog.foreign_keys.retain(|key| keys.insert((key.relation, key.name.clone())));
    catalog
}
