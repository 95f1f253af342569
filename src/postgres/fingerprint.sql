-- A text that changes whenever introspection.sql may answer otherwise: every DDL statement writes a new version of the rows
-- it concerns, GRANT and COMMENT ON too. It changes more often than the catalog does, for TRUNCATE as an example.
-- $1: the exposed schemas.
with recursive mine (oid) as (
  select r.oid from pg_roles r where r.rolname = current_user
  union
  select m.roleid from mine join pg_auth_members m on m.member = mine.oid
),
exposed as (
  select n.oid from pg_namespace n where n.nspname = any ($1)
),
relations as (
  select c.oid from pg_class c
  where c.relkind = 'c' or c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relnamespace in (select oid from exposed)
),
versions (class, object, part, version) as (
  select 1, n.oid, 0, n.xmin from pg_namespace n where n.nspname = any ($1)
  union all
  select 2, c.oid, 0, c.xmin from pg_class c join relations r on r.oid = c.oid
  union all
  select 3, a.attrelid, a.attnum, a.xmin from pg_attribute a join relations r on r.oid = a.attrelid where a.attnum > 0
  union all
  select 4, i.indexrelid, 0, i.xmin from pg_index i join relations r on r.oid = i.indrelid
  union all
  select 5, k.oid, 0, k.xmin from pg_constraint k join relations r on r.oid = k.conrelid
  union all
  select 6, w.oid, 0, w.xmin from pg_rewrite w join pg_class v on v.oid = w.ev_class and v.relkind = 'v'
  union all
  -- A function elsewhere may be what a view calls.
  select 7, p.oid, 0, p.xmin from pg_proc p where p.pronamespace <> 'pg_catalog'::regnamespace
  union all
  select 8, t.oid, 0, t.xmin from pg_type t where t.typtype in ('d', 'e', 'r') or t.typnamespace in (select oid from exposed)
  union all
  select 9, l.oid, 0, l.xmin from pg_enum l
  union all
  select 10, d.objoid, d.objsubid, d.xmin from pg_description d
  -- Postgres' own objects have smaller numbers (FirstNormalObjectId of access/transam.h), but for the schema public.
  where d.objoid >= 16384
  union all
  select 11, m.roleid, m.member::int8, m.xmin from pg_auth_members m join mine on mine.oid = m.member
)
select concat_ws(' ', r.oid, r.rolsuper, r.rolinherit, v.count, v.sum)
from pg_roles r, (
  select count(*), sum(hashint8extended((object::int8 << 32) # version::text::int8, (class::int8 << 32) # part))
  from versions
) v
where r.rolname = current_user
