"""What tests are made of: a scenario per service, and a broker in memory that is no kinder than Kafka."""
