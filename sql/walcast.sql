-- What SQL can say to walcast beside writing rows. Optional: nothing else of walcast needs it.
--
--     select walcast.invalidate('Auction:123', 'Query.auctions');
--     select walcast.send('{"left": 10}', 'tick', 'countdown');
--
-- Both write a message into the log (PostgreSQL manual, pg_logical_emit_message) and no table. PostgreSQL 14 to 18; may
-- be run again at any time, inside of a transaction or not, by any role that may create a schema.
--
-- Who may call them. They are made for the owner alone; let others in by name:
--
--     grant usage on schema walcast to app;
--     grant execute on function walcast.invalidate(text[]) to app;
--     grant execute on function walcast.send(jsonb, text, text, boolean, boolean) to app;
--
-- Who may forge them. Postgres lets every role call pg_logical_emit_message, by which anybody with a connection to the
-- database can write the same messages. This, by a superuser, ends it:
--
--     do $$
--     declare
--         form regprocedure;
--     begin
--         for form in
--             select oid from pg_proc
--             where proname = 'pg_logical_emit_message' and pronamespace = 'pg_catalog'::regnamespace
--         loop
--             execute format('revoke execute on function %s from public', form);
--         end loop;
--     end
--     $$;
--
-- Up to PostgreSQL 16 it does what these do, from 17 on the forms have a fourth argument, boolean:
--
--     revoke execute on function pg_logical_emit_message(boolean, text, text) from public;
--     revoke execute on function pg_logical_emit_message(boolean, text, bytea) from public;
--
-- Then the role that walcast logs in as needs the right by name, unless it is a superuser; at its start walcast prints
-- the GRANT. The functions below go on working for those who may call them: they run with the rights of their owner,
-- who needs it as well.

do $$
begin
    -- Functions that run with their owner's rights must not lie where another role can put some beside them.
    if exists (
        select from pg_catalog.pg_namespace
        where nspname operator(pg_catalog.=) 'walcast'
            and nspowner operator(pg_catalog.<>) all (
                select oid from pg_catalog.pg_roles
                where rolsuper or rolname operator(pg_catalog.=) current_user
            )
    ) then
        raise exception 'the schema walcast belongs to another role'
            using errcode = 'insufficient_privilege',
                hint = 'Install as its owner, or drop it if it is not of your making.';
    end if;
end
$$;

create schema if not exists walcast;

create or replace function walcast.invalidate(variadic keys text[]) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    part json;
begin
    if keys is null or exists (
        select from unnest(keys) as listed(key)
        where key is null or octet_length(convert_to(key, 'UTF8')) > 1024 or key ~ '[\x01-\x1f\x7f]'
            or key !~ '^(Query\.[A-Za-z_][A-Za-z0-9_]*(\(.*:".*"\))?|(?!Query\.)[A-Za-z_][A-Za-z0-9_]*:.+)$'
    ) then
        raise exception 'a key is Type:id, Query.field or Query.field(argument:"value"), of at most 1024 bytes'
            using errcode = 'invalid_parameter_value';
    end if;
    for part in
        select json_agg(key order by place) from unnest(keys) with ordinality as listed(key, place)
        group by (place - 1) / 1000 order by min(place)
    loop
        -- As bytes: a text would be written in the encoding of the database.
        perform pg_logical_emit_message(true, 'walcast.invalidate', convert_to(part::text, 'UTF8'));
    end loop;
end
$$;

create or replace function walcast.send(
    payload jsonb,
    event text,
    topic text,
    private boolean default false,
    transactional boolean default true
) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    content bytea;
begin
    if payload is null or private is null or transactional is null then
        raise exception 'payload, private and transactional must not be null'
            using errcode = 'null_value_not_allowed',
                hint = 'The JSON null is a payload: jsonb ''null''.';
    end if;
    if exists (
        select from (values (event), (topic)) as given(name)
        where name is null or octet_length(convert_to(name, 'UTF8')) not between 1 and 1024 or name ~ '[\x01-\x1f\x7f]'
    ) then
        raise exception 'event and topic must have 1 to 1024 bytes, none of them a control character'
            using errcode = 'invalid_parameter_value';
    end if;
    if octet_length(convert_to(payload::text, 'UTF8')) > 1048576 then
        raise exception 'the payload has more than 1048576 bytes' using errcode = 'program_limit_exceeded';
    end if;
    content := convert_to(
        json_build_object('topic', topic, 'event', event, 'private', private, 'payload', payload)::text,
        'UTF8'
    );
    if transactional then
        perform pg_logical_emit_message(true, 'walcast.send', content);
        return;
    end if;
    -- Only what is on disk is decoded, and nothing hurries a message that no commit waits for.
    if current_setting('server_version_num')::int >= 170000 then
        perform pg_logical_emit_message(false, 'walcast.send', content, true);
    else
        -- An id of its own makes the end of this transaction write a record, which is flushed with all before it.
        perform pg_current_xact_id();
        perform pg_logical_emit_message(false, 'walcast.send', content);
    end if;
end
$$;

revoke all on schema walcast from public;
revoke all on function walcast.invalidate(text[]) from public;
revoke all on function walcast.send(jsonb, text, text, boolean, boolean) from public;

comment on schema walcast is 'What SQL can say to walcast beside writing rows.';
comment on function walcast.invalidate(text[]) is
    'Results of live queries with one of these resource identifiers (Type:id, Query.field) are made again once the transaction is committed.';
comment on function walcast.send(jsonb, text, text, boolean, boolean) is
    'Sends a payload to whoever listens to the topic, once the transaction is committed or, if not transactional, at once.';
