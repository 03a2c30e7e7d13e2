"""The bits of the Subscription Options byte (3.8.3.1), to be added to the QoS."""

NO_LOCAL, AS_PUBLISHED, RETAIN_IF_NEW, RETAIN_NEVER = 0x04, 0x08, 0x10, 0x20
