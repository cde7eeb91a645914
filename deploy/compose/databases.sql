-- A role and a database of the same name for each service, closed to every other role. Safe to repeat: sets the
-- passwords anew and adds what is missing. OMS_DATABASE_PASSWORDS is `name:password name:password ...`.
\set ON_ERROR_STOP on
\getenv passwords OMS_DATABASE_PASSWORDS
create temporary table wanted on commit preserve rows as
select split_part(pair, ':', 1) as name, split_part(pair, ':', 2) as password
  from string_to_table(:'passwords', ' ') as pair;

select format('create role %I login', name) from wanted
 where not exists (select from pg_roles where rolname = name) \gexec
select format('alter role %I password %L', name, password) from wanted \gexec
select format('create database %I owner %I', name, name) from wanted
 where not exists (select from pg_database where datname = name) \gexec
select format('revoke all on database %I from public', name) from wanted \gexec
revoke connect on database postgres, template1 from public;
