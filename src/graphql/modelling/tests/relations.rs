//! Foreign keys and unique keys as fields.

use super::{definition, fields, schema};
use crate::graphql::sample::Sample;

#[test]
fn several_keys_to_one_table_get_names_of_their_own() {
    let mut sample = Sample::default();
    sample
        .table("public.users", &["id int8!"])
        .table("public.messages", &["id int8!", "sender_id int8!", "recipient int8"])
        .refers("public.messages", "sender_id", "public.users")
        .refers("public.messages", "recipient", "public.users");
    let schema = schema(&sample);
    assert_eq!(
        definition(&schema, "type Message"),
        ["id: ID!", "senderId: ID!", "recipient: ID", "userByRecipient: User", "sender: User!"]
    );
    assert_eq!(
        fields(&schema, "type User"),
        [
            "id",
            "messagesByRecipient",
            "messagesBySender",
            "messagesByRecipientAggregate",
            "messagesBySenderAggregate"
        ]
    );
}

#[test]
fn a_table_that_refers_to_itself_has_both_ways() {
    let mut sample = Sample::default();
    sample.table("public.employees", &["id int4!", "manager_id int4"]).refers(
        "public.employees",
        "manager_id",
        "public.employees",
    );
    assert_eq!(
        fields(&schema(&sample), "type Employee"),
        ["id", "managerId", "manager", "employeesByManager", "employeesByManagerAggregate"]
    );
}

#[test]
fn a_unique_reference_is_one_row_from_the_other_side() {
    let mut sample = Sample::default();
    sample
        .table("public.users", &["id int8!"])
        .table("public.profiles", &["id int8!", "user_id int8!"])
        .unique("public.profiles", "user_id")
        .refers("public.profiles", "user_id", "public.users")
        .table("public.settings", &["user_id int8!"])
        .key("public.settings", "user_id")
        .refers("public.settings", "user_id", "public.users");
    let schema = schema(&sample);
    assert_eq!(definition(&schema, "type User"), ["id: ID!", "profile: Profile", "setting: Setting"]);
    assert!(definition(&schema, "type Query").contains(&"profileByUserId(userId: ID!): Profile"));
    assert!(definition(&schema, "type Query").contains(&"setting(userId: ID!): Setting"));
}

#[test]
fn a_key_of_several_columns_is_named_after_its_target() {
    let mut sample = Sample::default();
    sample
        .table("public.rooms", &["house int4!", "number text!"])
        .key("public.rooms", "house, number")
        .table("public.beds", &["id int4!", "house int4!", "room text"])
        .refers("public.beds", "house, room", "public.rooms")
        .table("public.doors", &["id int4!", "house int4!", "from_room text!", "to_room text!"])
        .refers("public.doors", "house, from_room", "public.rooms")
        .refers("public.doors", "house, to_room", "public.rooms");
    let schema = schema(&sample);
    assert!(definition(&schema, "type Query").contains(&"room(house: ID!, number: ID!): Room"));
    // A column is called `room`.
    assert!(definition(&schema, "type Bed").contains(&"roomByHouseAndRoom: Room"));
    assert_eq!(
        definition(&schema, "type Door")[4..],
        ["roomByHouseAndFromRoom: Room!", "roomByHouseAndToRoom: Room!"]
    );
    assert_eq!(
        fields(&schema, "type Room")[2..5],
        ["beds", "doorsByHouseAndFromRoom", "doorsByHouseAndToRoom"]
    );
}

#[test]
fn keys_besides_the_primary_one_find_rows_too() {
    let mut sample = Sample::default();
    sample
        .table("public.users", &["id int8!", "email text!", "tenant_id uuid!", "slug text!", "data jsonb"])
        .unique("public.users", "email")
        .unique("public.users", "tenant_id, slug")
        .unique("public.users", "slug, tenant_id")
        .unique("public.users", "id")
        .unique("public.users", "data");
    let schema = schema(&sample);
    let keys: Vec<_> =
        definition(&schema, "type Query").into_iter().filter(|line| line.ends_with(": User")).collect();
    assert_eq!(
        keys,
        [
            "user(id: ID!): User",
            "userByEmail(email: String!): User",
            "userByTenantIdAndSlug(tenantId: ID!, slug: String!): User"
        ]
    );
}
