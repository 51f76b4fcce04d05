"""What may be sent when, as data: rules of hours, time zones of numbers, holidays. Knows neither Django nor the database."""
