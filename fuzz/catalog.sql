-- The database whose catalog is catalog.json.
create type mood as enum ('calm', 'it''s', 'so-so');
create domain word as text;
create type spot as (street text, zip int);
create table notes (
    id text primary key, number int unique, body text, moods mood[], mood mood, data jsonb, tags word[], at timestamptz,
    day date, amount numeric not null, big int8, flag bool, ratio float8, mark uuid, "odd, name" varchar(9), span int4range,
    place spot, places spot[], parent_id text references notes, "and" xid
);
create table pairs (a int, b int8, note_id text not null unique references notes, primary key (a, b));
create table marks (pair_a int, pair_b int8, other_a int, other_b int8, worth float4,
    foreign key (pair_a, pair_b) references pairs, foreign key (other_a, other_b) references pairs);
create view shown as select id, body, at from notes;
create function echo(text, jsonb default null, mood default null, text[] default null) returns text language sql stable as 'select $1';
create function found(value text, part int default 1) returns setof notes language sql stable as 'select * from notes';
create function first_note() returns notes language sql stable as 'select * from notes limit 1';
create function numbers(at_least int) returns setof numeric language sql stable as 'select 1.5';
create function likes(notes, at_least int default 0) returns int language sql stable as 'select 1';
create function related(note notes) returns setof notes language sql stable as 'select * from notes';
create function place_of(note notes) returns spot language sql stable as 'select $1.place';
create function say(body text, data jsonb default null, tags word[] default null) returns notes language sql volatile as 'select * from notes limit 1';
create function say_all(bodies text[]) returns setof notes language sql volatile as 'select * from notes';
create function clear(room_id uuid) returns void language sql volatile as 'select';
create function roll() returns float8 language sql volatile as 'select random()';
