"""The conformance cases, a file a topic. A comment above each function names the normative statements that it proves."""
