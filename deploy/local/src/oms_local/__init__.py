"""The whole OMS as local processes: a broker, a database and the services, started and stopped together."""
