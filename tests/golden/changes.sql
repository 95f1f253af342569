-- What scripts/capture_golden.sh captures. Messages with the prefix `case` are the headings of the
-- readable renderings beside this file. No clocks, no random values: two captures differ only in
-- positions, transaction ids and times.

\set ON_ERROR_STOP on
\set QUIET on

create type mood as enum ('sad', 'ok', 'very happy');
create domain quantity as integer check (value >= 0);
create type point3 as (x integer, y numeric, label text);
create type span as range (subtype = integer);

create table plain (id integer primary key, name text, note text);
create table keyed (a integer, b text, value text, primary key (b, a));
create table whole (id integer, name text, body text);
alter table whole replica identity full;
alter table whole alter column body set storage external;
create table chosen (email text not null, name text, body text);
create unique index chosen_email on chosen (email);
alter table chosen replica identity using index chosen_email;
create table nothing (id integer primary key, name text);
alter table nothing replica identity nothing;
create table keyless (name text);
create table toasted (id integer primary key, touched integer, body text);
alter table toasted alter column body set storage external;
create table columnless ();
create schema "Odd.Schema";
create table "Odd.Schema"."Table ""quoted"", dotted.and:colon" (
    "ID" integer primary key, "sp ace" text, "dot.ted" text, "qu""ote" text, "naïve 列" text
);
create table typed (
    id integer primary key, feeling mood, stock quantity, place point3, feelings mood[], places point3[],
    words text[], stocks quantity[], years span, price numeric(10, 2), code varchar(7), instant timestamptz(3)
);
create table parent (id integer primary key);
create table child (id integer primary key, parent integer references parent);
create table counted (id serial primary key);
create table altered (id integer primary key, name text);
create table measured (day date, reading integer, primary key (day, reading)) partition by range (day);
create table measured_2023 partition of measured for values from ('2023-01-01') to ('2024-01-01');
create table measured_2024 partition of measured for values from ('2024-01-01') to ('2025-01-01');
create table computed (id integer primary key, doubled integer generated always as (id * 2) stored);
create table narrowed (id integer primary key, shown text, hidden text);
create table filtered (id integer primary key, visible boolean);
alter table filtered replica identity full;
create table bytes (id integer primary key, small smallint, ratio double precision, blob bytea, words text[]);

-- A table with no usable identity may only be published for inserts, or its updates fail.
create publication golden for table plain, keyed, whole, chosen, toasted, columnless,
    "Odd.Schema"."Table ""quoted"", dotted.and:colon", typed, parent, child, counted, altered, measured,
    computed, narrowed (id, shown), filtered where (visible);
create publication golden_inserts for table nothing, keyless with (publish = 'insert');
create publication golden_via_root for table measured with (publish_via_partition_root = true);
create publication golden_binary for table bytes;
select pg_create_logical_replication_slot('golden', 'pgoutput') \g /dev/null
\o /dev/null

select pg_logical_emit_message(false, 'case', 'default identity: insert, update of a value, of the key, delete');
begin;
insert into plain values (1, 'one', null), (2, '', 'two ''quoted'' "words"'), (3, E'tab\tline\nfeed', 'héllo 世界 🎉');
update plain set name = 'uno' where id = 1;
update plain set id = 10, note = 'moved' where id = 1;
delete from plain where id = 2;
commit;

select pg_logical_emit_message(false, 'case', 'default identity: a key of two columns, not in table order');
begin;
insert into keyed values (1, 'x', 'first');
update keyed set value = null where a = 1;
update keyed set a = 2 where a = 1;
delete from keyed;
commit;

select pg_logical_emit_message(false, 'case', 'identity full: the old row comes whole, nulls are nulls');
begin;
insert into whole values (1, 'one', null), (null, null, null);
update whole set name = 'uno' where id = 1;
delete from whole where id is null;
commit;

select pg_logical_emit_message(false, 'case', 'identity full: an untouched TOASTed value is in the old row only');
begin;
insert into whole values (2, 'big', repeat('toast', 450));
update whole set name = 'still big' where id = 2;
delete from whole where id = 2;
commit;

select pg_logical_emit_message(false, 'case', 'identity using index: the key is the index''s column');
begin;
insert into chosen values ('a@example.org', 'a', null);
update chosen set name = 'aa';
update chosen set email = 'b@example.org';
delete from chosen;
commit;

select pg_logical_emit_message(false, 'case', 'no identity: inserts only');
begin;
insert into nothing values (1, 'n');
insert into keyless values ('k'), (null);
commit;

select pg_logical_emit_message(false, 'case', 'default identity: an untouched TOASTed value is missing, a touched one is not');
begin;
insert into toasted values (1, 0, repeat('bread', 450));
update toasted set touched = 1;
update toasted set id = 2;
update toasted set body = repeat('crumb', 450);
commit;

select pg_logical_emit_message(false, 'case', 'a table without columns');
insert into columnless default values;

select pg_logical_emit_message(false, 'case', 'odd names');
begin;
insert into "Odd.Schema"."Table ""quoted"", dotted.and:colon" values (1, 's', 'd', 'q', 'ï');
delete from "Odd.Schema"."Table ""quoted"", dotted.and:colon";
commit;

select pg_logical_emit_message(false, 'case', 'user types: enum, domain, composite, range, arrays of them; type modifiers');
insert into typed values (
    1, 'very happy', 7, row (1, 2.50, 'a "b", c'), '{sad,"very happy",NULL}',
    array[row (1, null, '')::point3, null], '{{a,NULL},{"b,c","\"q\""}}', '{1,2}', '[1,5)', 12.5, 'seven',
    '2024-02-29 12:34:56.789+00'
), (2, null, null, null, '{}', null, '[3:4]={x,y}', null, 'empty', 'NaN', '', 'infinity');

select pg_logical_emit_message(false, 'case', 'truncate: plain, restart identity, several by cascade, all at once');
begin;
insert into parent values (1);
insert into child values (1, 1);
insert into counted default values;
truncate plain;
truncate counted restart identity;
truncate parent cascade;
truncate parent, child, counted restart identity cascade;
commit;

select pg_logical_emit_message(false, 'case', 'partitions: insert, update within, update across, delete, truncate');
begin;
insert into measured values ('2023-06-01', 1), ('2024-06-01', 2);
update measured set reading = 3 where reading = 1;
update measured set day = '2024-01-01' where reading = 3;
delete from measured where reading = 2;
truncate measured;
commit;

select pg_logical_emit_message(false, 'case', 'a table altered within a transaction: rows before it follow the older relation');
begin;
insert into altered values (1, 'before');
alter table altered add column added integer default 5;
insert into altered values (2, 'between', 6);
alter table altered drop column name;
alter table altered rename column added to renamed;
insert into altered values (3, 7);
update altered set renamed = 8 where id = 1;
alter table altered replica identity full;
delete from altered where id = 1;
commit;

select pg_logical_emit_message(false, 'case', 'savepoints: what was rolled back is missing');
begin;
insert into keyed values (1, 'kept', 'outer');
savepoint inner_one;
insert into keyed values (2, 'lost', 'inner');
rollback to savepoint inner_one;
savepoint inner_two;
insert into keyed values (3, 'kept', 'inner');
release savepoint inner_two;
delete from keyed;
commit;

select pg_logical_emit_message(false, 'case', 'copy: several rows of one position');
copy plain (id, name, note) from stdin;
101	copied	\N
102		empty
103	\\N	a backslash and an N
\.

select pg_logical_emit_message(false, 'case', 'logical messages: of a transaction, outside of it, and of one that rolled back');
begin;
insert into parent values (7);
select pg_logical_emit_message(true, 'walcast', 'inside');
select pg_logical_emit_message(false, 'walcast', 'at once');
select pg_logical_emit_message(true, 'walcast', '\x00ff10'::bytea);
select pg_logical_emit_message(true, '', '');
commit;
begin;
select pg_logical_emit_message(true, 'walcast', 'never');
select pg_logical_emit_message(false, 'walcast', 'although rolled back');
rollback;

select pg_logical_emit_message(false, 'case', 'a transaction replicated from elsewhere names its origin');
select pg_replication_origin_create('upstream.example');
select pg_replication_origin_session_setup('upstream.example');
begin;
select pg_replication_origin_xact_setup('AB/CDEF0123', '2024-01-02 03:04:05.678901+00');
insert into parent values (8);
commit;
select pg_replication_origin_session_reset();

select pg_logical_emit_message(false, 'case', 'generated columns, column lists and row filters of a publication');
begin;
insert into computed (id) values (21);
insert into narrowed values (1, 'shown', 'hidden');
update narrowed set hidden = 'still';
insert into filtered values (1, true), (2, false);
update filtered set visible = not visible;
commit;

select pg_logical_emit_message(false, 'case', 'values for the option binary');
begin;
insert into bytes values (1, -2, 0.1, '\x00ff', '{a,NULL}'), (2, null, 'NaN', '', null);
update bytes set id = 3 where id = 2;
delete from bytes where id = 1;
commit;
