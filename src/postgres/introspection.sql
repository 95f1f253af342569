-- The catalog as one JSON text, in the rights of the current role. $1: the exposed schemas. $2: the publication.
-- Names are joined and not cast to regclass, which a role without a right to their schemas may not.
with recursive
exposed as (
  select n.oid, n.nspname from pg_namespace n where n.nspname = any ($1) and has_schema_privilege(n.oid, 'usage')
),
of_extensions as (
  select d.classid, d.objid from pg_depend d where d.deptype = 'e'
),
listed as (
  select c.oid, c.reltype, c.relname, c.relkind, c.relpersistence, n.nspname
  from pg_class c join exposed n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
    and has_any_column_privilege(c.oid, 'select')
    and not exists (select from of_extensions x where x.classid = 'pg_class'::regclass and x.objid = c.oid)
),
readable as (
  select a.attrelid, a.attnum, a.attname, a.atttypid,
    -- Since 18 a constraint may hold for new rows only.
    l.relkind in ('r', 'p', 'f') as stored,
    a.attnotnull and not exists (
      select from pg_constraint k
      where k.conrelid = a.attrelid and k.contype = 'n' and k.conkey = array[a.attnum] and not k.convalidated
    ) as attnotnull
  from listed l join pg_attribute a on a.attrelid = l.oid
  where a.attnum > 0 and not a.attisdropped and has_column_privilege(a.attrelid, a.attnum, 'select')
),
callable as (
  select p.oid, p.proname, p.provolatile, p.proisstrict, p.proretset, p.prorettype, p.proargtypes::oid[] as types,
    p.proargnames, p.pronargs, p.pronargdefaults, p.prosqlbody, n.nspname
  from pg_proc p join exposed n on n.oid = p.pronamespace
  where p.prokind = 'f' and p.proargmodes is null and has_function_privilege(p.oid, 'execute')
    and not exists (select from of_extensions x where x.classid = 'pg_proc'::regclass and x.objid = p.oid)
    and not exists (
      select from pg_type t
      where t.typtype = 'p' and (t.oid = any (p.proargtypes) or t.oid = p.prorettype and t.oid <> 'void'::regtype)
    )
    -- A whole row can be passed on by those who may read all of it.
    and not exists (
      select from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      where c.reltype = any (p.proargtypes) and c.relkind <> 'c' and not has_column_privilege(c.oid, a.attnum, 'select')
    )
),
used (oid) as (
  select t.oid from (
    select atttypid from readable
    union select unnest(types) from callable
    union select prorettype from callable where prorettype <> 'void'::regtype
  ) t (oid)
  union
  select part.oid from used join pg_type t on t.oid = used.oid cross join lateral (
    select t.typbasetype where t.typtype = 'd'
    union all
    select e.oid from pg_type e where e.oid = t.typelem and e.typarray = t.oid
    union all
    select a.atttypid from pg_class c join pg_attribute a on a.attrelid = c.oid
    where c.oid = t.typrelid and c.relkind = 'c' and a.attnum > 0 and not a.attisdropped
  ) part (oid)
),
-- Each type with what it is over in the end, by way of domains.
based (oid, base, not_null) as (
  select oid, oid, false from used
  union all
  select b.oid, t.typbasetype, b.not_null or t.typnotnull
  from based b join pg_type t on t.oid = b.base where t.typtype = 'd'
),
-- A type without an operator class of its own has that of a type of the same bytes, as varchar has text's
-- (PostgreSQL manual, 38.16.3); classes of polymorphic types serve enums, ranges and arrays.
compared as (
  select b.oid, b.not_null, e.oid as element,
    t.typtype in ('e', 'r', 'm') or coalesce(bool_or(m.amname = 'btree'), false) as ordered,
    t.typtype in ('e', 'r', 'm') or coalesce(bool_or(m.amname in ('btree', 'hash')), false) as comparable
  from based b join pg_type t on t.oid = b.base and t.typtype <> 'd'
    left join pg_type e on e.oid = t.typelem and e.typarray = t.oid
    left join lateral (
      select t.oid
      union all
      select k.casttarget from pg_cast k where k.castsource = t.oid and k.castmethod = 'b' and k.castcontext = 'i'
    ) same (oid) on t.typtype = 'b'
    left join pg_opclass o on o.opcintype = same.oid and o.opcdefault
    left join pg_am m on m.oid = o.opcmethod
  group by b.oid, b.not_null, e.oid, t.typtype
),
-- In whose rights tables are read: the role's, or the owner's of a view or of a SECURITY DEFINER function on the way.
readers (oid) as (
  select r.oid from pg_roles r
  where not r.rolsuper and not r.rolbypassrls and (
    r.rolname = current_user
    or r.oid in (select v.relowner from pg_class v where v.relkind = 'v')
    or r.oid in (select p.proowner from pg_proc p where p.prosecdef)
  )
),
-- Policies with a say in which rows these readers see (PostgreSQL manual, 5.9).
policies as (
  select p.oid, p.polrelid, p.polqual
  from pg_policy p join pg_class c on c.oid = p.polrelid
  where c.relrowsecurity and p.polcmd in ('*', 'r') and exists (
    select from readers u
    where (c.relforcerowsecurity or not pg_has_role(u.oid, c.relowner, 'usage'))
      and exists (
        select from unnest(p.polroles) named (oid)
        where case when named.oid = 0 then true else pg_has_role(u.oid, named.oid, 'usage') end
      )
  )
),
-- Everything that a view, a function or a policy stands on. Postgres notes no dependency on its own functions.
reached (root_class, root, class, oid) as (
  select roots.class, roots.oid, roots.class, roots.oid from (
    select 'pg_class'::regclass::oid, oid from listed where relkind = 'v'
    union all
    select 'pg_proc'::regclass::oid, oid from callable
    union all
    select 'pg_policy'::regclass::oid, oid from policies
  ) roots (class, oid)
  union
  select r.root_class, r.root, d.refclassid, d.refobjid
  from reached r cross join lateral (
    select d.refclassid, d.refobjid
    from pg_class v
      join pg_rewrite w on w.ev_class = v.oid and w.ev_type = '1'
      join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
    where r.class = 'pg_class'::regclass and v.oid = r.oid and v.relkind = 'v'
    union all
    select d.refclassid, d.refobjid
    from pg_proc p join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = p.oid
    where r.class = 'pg_proc'::regclass and p.oid = r.oid
      -- A column of a row that was passed in depends on its table, which is not read for it.
      and (d.refclassid <> 'pg_class'::regclass or p.prosqlbody::text ~ format(':relid %s\M', d.refobjid))
    union all
    select 'pg_proc'::regclass, o.oprcode
    from pg_operator o
    where r.class = 'pg_operator'::regclass and o.oid = r.oid
    union all
    -- The columns of the row that is judged are no reading; a policy that selects from its own table never ends.
    select d.refclassid, d.refobjid
    from policies p join pg_depend d on d.classid = 'pg_policy'::regclass and d.objid = p.oid and d.deptype = 'n'
    where r.class = 'pg_policy'::regclass and p.oid = r.oid
      and (d.refclassid <> 'pg_class'::regclass or d.refobjid <> p.polrelid)
  ) d
  where d.refclassid in ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_operator'::regclass)
),
parsed (class, oid, tree) as (
  select 'pg_class'::regclass::oid, w.ev_class, w.ev_action::text
  from pg_rewrite w join pg_class v on v.oid = w.ev_class and v.relkind = 'v'
  where w.ev_type = '1' and exists (
    select from reached r where r.class = 'pg_class'::regclass and r.oid = w.ev_class
  )
  union all
  select 'pg_proc'::regclass::oid, p.oid, p.prosqlbody::text
  from pg_proc p
  where p.prosqlbody is not null and exists (
    select from reached r where r.class = 'pg_proc'::regclass and r.oid = p.oid
  )
  union all
  select 'pg_policy'::regclass::oid, p.oid, p.polqual::text from policies p
),
-- Functions whose body is a text. Of those of extensions and of Postgres' own schemas, too, it is not known what they read.
called as (
  select p.oid, p.proname, n.nspname
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where p.provolatile <> 'i' and p.prosqlbody is null
    and exists (select from reached r where r.class = 'pg_proc'::regclass and r.oid = p.oid)
),
-- What depends on more than tables: the clock, the session, chance. Functions of Postgres' own that are STABLE for the
-- sake of pinned settings, such as the time zone, do not count.
-- `of_session`: what is the same for all runs with the same role and claims.
opaque (class, oid, of_session) as (
  select p.class, p.oid, p.tree !~ '{(TABLESAMPLECLAUSE|NEXTVALUEEXPR) '
    -- SVFOP_CURRENT_ROLE to SVFOP_CURRENT_SCHEMA of nodes/primnodes.h
    and p.tree !~ '{SQLVALUEFUNCTION :op [0-8]\M'
  from parsed p
  where p.tree ~ '{(SQLVALUEFUNCTION|TABLESAMPLECLAUSE|NEXTVALUEEXPR) '
  union all
  -- Nor does it note one on its own tables; FirstUnpinnedObjectId of access/transam.h.
  select p.class, p.oid, false
  from parsed p cross join lateral regexp_matches(p.tree, ':relid (\d+)', 'g') found (part)
  where found.part[1]::oid between 1 and 11999
  union all
  select p.class, p.oid, f.proname in (
    'current_setting', 'current_user', 'session_user', 'getpgusername', 'current_database', 'current_schema',
    'current_schemas', 'pg_has_role'
  )
  from parsed p
    cross join lateral regexp_matches(p.tree, ':(funcid|aggfnoid|winfnoid|opno) (\d+)', 'g') found (part)
    left join pg_operator o on found.part[1] = 'opno' and o.oid = found.part[2]::oid
    join pg_proc f on f.oid = case found.part[1] when 'opno' then o.oprcode::oid else found.part[2]::oid end
  where f.provolatile <> 'i' and f.pronamespace = 'pg_catalog'::regnamespace
    and not (f.provolatile = 's' and f.proname ~ (
      '^(to_(char|date|timestamp|number|jsonb?|tsvector|tsquery)|(plain|phrase|websearch_)to_tsquery'
      || '|jsonb?_(build_(object|array)|(object_)?agg.*)|row_to_json|array_to_json|array_to_string'
      || '|concat|concat_ws|format|quote_(literal|nullable)|textanycat|anytextcat'
      || '|date_trunc|date_part|extract|timezone|overlaps|timestamptz|timestamp|timetz|time|date'
      || '|(date|timestamp|timestamptz|interval)_[a-z]+_(date|timestamp|timestamptz|interval))$'))
),
-- What each root stands on, a table's policies together.
stood_on (class, oid, on_class, on_oid) as (
  select r.root_class, r.root, r.class, r.oid from reached r where r.root_class <> 'pg_policy'::regclass
  union
  select r.root_class, p.polrelid, r.class, r.oid
  from reached r join policies p on r.root_class = 'pg_policy'::regclass and p.oid = r.root
),
readings (class, oid, listing) as (
  select r.class, r.oid, json_build_object(
    'tables', coalesce(
      json_agg(distinct c.oid::int8 order by c.oid::int8) filter (where c.relkind in ('r', 'p', 'm', 'f', 'S')), '[]'
    ),
    'calls', coalesce(json_agg(distinct f.oid::int8 order by f.oid::int8) filter (where f.oid is not null), '[]'),
    -- Policies are judged for one role and its claims; views and functions need not be.
    'more', coalesce(bool_or(not o.of_session or r.class <> 'pg_policy'::regclass) filter (where o.oid is not null), false)
  )
  from stood_on r
    left join pg_class c on r.on_class = 'pg_class'::regclass and c.oid = r.on_oid
    left join called f on r.on_class = 'pg_proc'::regclass and f.oid = r.on_oid
    left join opaque o on o.class = r.on_class and o.oid = r.on_oid
  group by r.class, r.oid
),
nothing (listing) as (
  select json_build_object('tables', '[]'::json, 'calls', '[]'::json, 'more', false)
),
-- Comments of functions that name what they read; a quoted name has its quotes doubled.
declarations (text) as (
  select string_agg(d.description || ' ' || lower(d.description), ' ')
  from pg_description d
  -- FirstNormalObjectId of access/transam.h
  where d.objoid >= 16384 and d.classoid = 'pg_proc'::regclass and d.description ~ '@walcast\s+depends_on'
),
-- All tables that may be read, with what inherits from them.
read (oid) as (
  select c.oid
  from pg_class c join pg_namespace n on n.oid = c.relnamespace left join declarations d on true
  where c.relkind in ('r', 'p', 'm', 'f', 'S') and c.relpersistence <> 't' and (
    c.oid in (select l.oid from listed l)
    or c.oid in (select r.oid from reached r where r.class = 'pg_class'::regclass)
    or c.relkind <> 'S' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
      and position(replace(c.relname, '"', '""') in d.text) > 0
  )
),
descent (root, oid) as (
  select oid, oid from read
  union
  select d.root, i.inhrelid
  from descent d join pg_inherits i on i.inhparent = d.oid join pg_class c on c.oid = i.inhrelid
  where c.relpersistence <> 't'
),
-- Where the setting is off, this lists partitions and not what they are partitions of; else it is the other way round.
published (oid, filtered) as (
  select t.relid, to_jsonb(t) ->> 'qual' is not null
  from pg_publication p cross join lateral pg_get_publication_tables(p.pubname) t
  where p.pubname = $2
),
heirs (oid, listing) as (
  select d.root, json_agg(d.oid::int8 order by d.oid::int8) from descent d where d.oid <> d.root group by d.root
),
-- Of several of its ancestors that are published the topmost is told.
told_as (oid, as_oid, filtered) as (
  select distinct on (d.oid) d.oid, p.oid, p.filtered
  from (select distinct oid from descent) d
    cross join lateral (
      select d.oid, 0
      union all
      select a.relid, a.level from pg_partition_ancestors(d.oid) with ordinality a (relid, level)
      where (select pubviaroot from pg_publication where pubname = $2)
    ) a (oid, level)
    join published p on p.oid = a.oid
  order by d.oid, a.level desc
),
sources (schema, name, value) as (
  select n.nspname, c.relname, json_build_object(
    'oid', c.oid::int8, 'schema', n.nspname, 'name', c.relname, 'sql', format('%I.%I', n.nspname, c.relname),
    'kind', case c.relkind
      when 'p' then 'partitioned' when 'm' then 'materialized_view' when 'f' then 'foreign_table'
      when 'S' then 'sequence' else 'table' end,
    'logged', c.relpersistence = 'p',
    'partition', c.relispartition,
    'columns', coalesce((
      select json_agg(a.attname order by a.attnum)
      from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    ), '[]'),
    'heirs', coalesce(h.listing, '[]'),
    'published', t.as_oid::int8,
    'filtered', coalesce(t.filtered, false),
    'secured', c.relrowsecurity,
    'loose', (
      select a.attname from pg_attribute a join pg_collation l on l.oid = a.attcollation
      where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and not l.collisdeterministic
      order by a.attnum limit 1
    ),
    'policies', coalesce(r.listing, nothing.listing)
  )
  from (select distinct oid from descent) d
    join pg_class c on c.oid = d.oid join pg_namespace n on n.oid = c.relnamespace
    cross join nothing
    left join readings r on r.class = 'pg_policy'::regclass and r.oid = c.oid
    left join heirs h on h.oid = c.oid
    left join told_as t on t.oid = c.oid
),
columns_of (relation, listing) as (
  select a.attrelid, json_agg(json_build_object(
    'number', a.attnum, 'name', a.attname, 'type', a.atttypid::int8,
    'not_null', a.stored and (a.attnotnull or t.not_null),
    'comment', col_description(a.attrelid, a.attnum)
  ) order by a.attnum)
  from readable a join compared t on t.oid = a.atttypid
  group by a.attrelid
  union all
  select c.oid, json_agg(json_build_object(
    'number', a.attnum, 'name', a.attname, 'type', a.atttypid::int8, 'not_null', false,
    'comment', col_description(a.attrelid, a.attnum)
  ) order by a.attnum)
  from used join pg_class c on c.reltype = used.oid and c.relkind = 'c'
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  group by c.oid
),
-- Keys whose columns can all be read. A primary key that is checked at the end of a transaction holds for what others see.
keys (relation, is_primary, columns) as (
  select i.indrelid, i.indisprimary, array_agg(k.attnum order by k.place)
  from listed l join pg_index i on i.indrelid = l.oid
    cross join lateral unnest(i.indkey::int2[]) with ordinality k (attnum, place)
    left join readable a on a.attrelid = i.indrelid and a.attnum = k.attnum
  where i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null and not i.indisexclusion
    and (i.indisprimary or i.indimmediate) and k.place <= i.indnkeyatts
  group by i.indexrelid, i.indrelid, i.indisprimary
  having count(a.attnum) = count(*)
),
primary_keys as (
  select relation, to_json(columns) as listing from keys where is_primary
),
unique_keys as (
  select relation, json_agg(distinct columns order by columns) as listing
  from keys k
  where not exists (select from keys p where p.is_primary and p.relation = k.relation and p.columns = k.columns)
  group by relation
),
relations (schema, name, value) as (
  select l.nspname, l.relname, json_build_object(
    'oid', l.oid::int8, 'row_type', l.reltype::int8, 'schema', l.nspname, 'name', l.relname,
    'row_security', row_security_active(l.oid),
    'kind', case l.relkind
      when 'v' then 'view' when 'm' then 'materialized_view' when 'f' then 'foreign_table' else 'table' end,
    'comment', obj_description(l.oid, 'pg_class'), 'columns', c.listing,
    'primary_key', coalesce(p.listing, '[]'), 'unique_keys', coalesce(u.listing, '[]'),
    'reads', coalesce(r.listing, nothing.listing)
  )
  from listed l
    join columns_of c on c.relation = l.oid
    left join primary_keys p on p.relation = l.oid
    left join unique_keys u on u.relation = l.oid
    cross join nothing
    left join readings r on r.class = 'pg_class'::regclass and r.oid = l.oid
  union all
  select n.nspname, c.relname, json_build_object(
    'oid', c.oid::int8, 'row_type', c.reltype::int8, 'schema', n.nspname, 'name', c.relname,
    'row_security', false,
    'kind', 'composite_type', 'comment', obj_description(c.reltype, 'pg_type'),
    'columns', coalesce(a.listing, '[]'), 'primary_key', '[]'::json, 'unique_keys', '[]'::json,
    'reads', nothing.listing
  )
  from nothing cross join used join pg_class c on c.reltype = used.oid and c.relkind = 'c' join pg_namespace n on n.oid = c.relnamespace
    left join columns_of a on a.relation = c.oid
),
foreign_keys (schema, relation, name, value) as (
  select l.nspname, l.relname, k.conname, json_build_object(
    'name', k.conname, 'relation', k.conrelid::int8, 'columns', to_json(k.conkey),
    'target', k.confrelid::int8, 'target_columns', to_json(k.confkey),
    'comment', obj_description(k.oid, 'pg_constraint')
  )
  from pg_constraint k join listed l on l.oid = k.conrelid
    cross join lateral unnest(k.conkey, k.confkey) parts (here, there)
    left join readable h on h.attrelid = k.conrelid and h.attnum = parts.here
    left join readable t on t.attrelid = k.confrelid and t.attnum = parts.there
  where k.contype = 'f' and k.conparentid = 0
    -- Since 18 a key may be told and not held, or hold for periods.
    and coalesce((to_jsonb(k) ->> 'conenforced')::bool, true)
    and not coalesce((to_jsonb(k) ->> 'conperiod')::bool, false)
  group by l.nspname, l.relname, k.oid, k.conname, k.conrelid, k.conkey, k.confrelid, k.confkey
  having count(h.attnum) = count(*) and count(t.attnum) = count(*)
),
types (schema, name, value) as (
  select n.nspname, t.typname, json_build_object(
    'oid', t.oid::int8, 'schema', n.nspname, 'name', t.typname,
    'sql', format('%I.%I', n.nspname, t.typname),
    'kind', case
      when t.typtype = 'd'
        then json_build_object('domain', json_build_object('base', t.typbasetype::int8, 'not_null', t.typnotnull))
      when t.typtype = 'e' then json_build_object('enum', (
        select coalesce(json_agg(l.enumlabel order by l.enumsortorder), '[]') from pg_enum l where l.enumtypid = t.oid
      ))
      when t.typtype = 'c' then json_build_object('composite', t.typrelid::int8)
      when o.element is not null then json_build_object('array', t.typelem::int8)
      else '"base"'
    end,
    'ordered', coalesce(e.ordered, o.ordered), 'comparable', coalesce(e.comparable, o.comparable),
    'comment', obj_description(t.oid, 'pg_type')
  )
  from compared o join pg_type t on t.oid = o.oid join pg_namespace n on n.oid = t.typnamespace
    left join compared e on e.oid = o.element
),
functions (schema, name, types, value) as (
  select p.nspname, p.proname, p.types, json_build_object(
    'oid', p.oid::int8, 'schema', p.nspname, 'name', p.proname,
    'volatility', case p.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end,
    'strict', p.proisstrict,
    'arguments', (
      select coalesce(json_agg(json_build_object(
        'name', nullif(p.proargnames[a.place], ''), 'type', a.oid::int8,
        'has_default', a.place > p.pronargs - p.pronargdefaults
      ) order by a.place), '[]')
      from unnest(p.types) with ordinality a (oid, place)
    ),
    'returns', nullif(p.prorettype, 'void'::regtype)::int8, 'returns_set', p.proretset,
    'comment', obj_description(p.oid, 'pg_proc'),
    'reads', coalesce(r.listing, nothing.listing)
  )
  from callable p cross join nothing left join readings r on r.class = 'pg_proc'::regclass and r.oid = p.oid
)
select json_build_object(
  'relations', (select coalesce(json_agg(value order by schema, name), '[]') from relations),
  'foreign_keys', (select coalesce(json_agg(value order by schema, relation, name), '[]') from foreign_keys),
  'types', (select coalesce(json_agg(value order by schema, name), '[]') from types),
  'functions', (select coalesce(json_agg(value order by schema, name, types), '[]') from functions),
  'sources', (select coalesce(json_agg(value order by schema, name), '[]') from sources),
  'called', (
    select coalesce(json_agg(json_build_object(
      'oid', p.oid::int8, 'schema', p.nspname, 'name', p.proname,
      'sql', format('%I.%I(%s)', p.nspname, p.proname, pg_get_function_identity_arguments(p.oid)),
      'comment', obj_description(p.oid, 'pg_proc')
    ) order by p.nspname, p.proname, p.oid), '[]')
    from called p
  ),
  'publication', (
    select json_build_object('sql', quote_ident(p.pubname), 'lacks', array_remove(array[
      case when not p.pubinsert then 'insert' end, case when not p.pubupdate then 'update' end,
      case when not p.pubdelete then 'delete' end, case when not p.pubtruncate then 'truncate' end
    ], null))
    from pg_publication p where p.pubname = $2
  )
)::text
