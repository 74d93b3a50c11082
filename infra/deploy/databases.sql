-- One database for each service; PostgreSQL runs this when its volume is empty.
CREATE DATABASE prefect;
CREATE DATABASE mlflow;
