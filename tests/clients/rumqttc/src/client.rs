//! A connected rumqttc client whose events arrive in channels: one module for each of its two
//! protocol modules.
//!
//! Owns the polling of the event loop. Must not know any case.

/// Writes the client for `$module` of rumqttc; its packets differ in type, not in shape.
macro_rules! client {
    ($version:ident, $($module:ident)::+, $packets:path, $qos:path, $tune:expr, $topic:expr) => {
        /// The client of one protocol version.
        pub(crate) mod $version {
            use $($module)::+::{AsyncClient, Event, EventLoop, MqttOptions};
            use $packets as packets;
            use self::packets::{ConnAck, Packet, Publish, SubAck};
            use $qos as QoS;
            use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
            use tokio::task::JoinHandle;
            use tokio::time::timeout;

            use crate::{Context, DEADLINE, Outcome, same};

            /// The options that a case changes.
            pub(crate) type Options = MqttOptions;

            /// What acknowledges a request of ours.
            #[derive(Debug)]
            pub(crate) enum Acknowledgement {
                ConnAck(ConnAck),
                SubAck(SubAck),
                Other(Packet),
            }

            /// A connected client.
            pub(crate) struct Client {
                context: Context,
                pub(crate) requests: AsyncClient,
                messages: UnboundedReceiver<Publish>,
                answers: UnboundedReceiver<Acknowledgement>,
                task: JoinHandle<String>,
                pub(crate) connack: ConnAck,
            }

            /// Options with a client id of the case's own, clean.
            pub(crate) fn options(context: &Context, name: &str) -> Options {
                let mut options = MqttOptions::new(context.id(name), &context.host, context.port);
                options.set_keep_alive(std::time::Duration::from_secs(60));
                let tune: fn(&mut Options) = $tune;
                tune(&mut options);
                options
            }

            /// Polls until the connection ends; the value says how.
            async fn poll(
                mut events: EventLoop,
                messages: UnboundedSender<Publish>,
                answers: UnboundedSender<Acknowledgement>,
            ) -> String {
                loop {
                    let event = match events.poll().await {
                        Ok(event) => event,
                        Err(error) => return format!("{error:?}"),
                    };
                    let Event::Incoming(packet) = event else { continue };
                    // A case that is over has dropped its ends of the channels.
                    let _ = match packet {
                        Packet::Publish(publish) => messages.send(publish).is_ok(),
                        Packet::ConnAck(connack) => {
                            answers.send(Acknowledgement::ConnAck(connack)).is_ok()
                        }
                        Packet::SubAck(suback) => {
                            answers.send(Acknowledgement::SubAck(suback)).is_ok()
                        }
                        Packet::PubAck(..) | Packet::PubComp(..) | Packet::UnsubAck(..) => {
                            answers.send(Acknowledgement::Other(packet)).is_ok()
                        }
                        _ => true,
                    };
                }
            }

            impl Client {
                /// Connects with default options.
                pub(crate) async fn connect(context: &Context, name: &str) -> Outcome<Self> {
                    Self::with(context, options(context, name)).await
                }

                /// Connects and waits for the CONNACK.
                pub(crate) async fn with(context: &Context, options: Options) -> Outcome<Self> {
                    let (requests, events) = AsyncClient::new(options, 100);
                    let (message_sender, messages) = unbounded_channel();
                    let (answer_sender, mut answers) = unbounded_channel();
                    let task = tokio::spawn(poll(events, message_sender, answer_sender));
                    let Ok(Some(first)) = timeout(DEADLINE, answers.recv()).await else {
                        return Err("no CONNACK".to_owned());
                    };
                    let Acknowledgement::ConnAck(connack) = first else {
                        return Err(format!("expected CONNACK, got {first:?}"));
                    };
                    let context = context.clone();
                    Ok(Self { context, requests, messages, answers, task, connack })
                }

                /// The next acknowledgement.
                pub(crate) async fn answer(&mut self) -> Outcome<Acknowledgement> {
                    match timeout(DEADLINE, self.answers.recv()).await {
                        Ok(Some(answer)) => Ok(answer),
                        Ok(None) => Err("the end instead of an acknowledgement".to_owned()),
                        Err(_) => Err("no acknowledgement".to_owned()),
                    }
                }

                /// Subscribes and waits for the SUBACK.
                pub(crate) async fn subscribe(
                    &mut self,
                    filter: &str,
                    qos: QoS,
                ) -> Outcome<SubAck> {
                    self.requests.subscribe(filter, qos).await.map_err(|error| error.to_string())?;
                    self.suback().await
                }

                /// The next acknowledgement, which must be a SUBACK.
                pub(crate) async fn suback(&mut self) -> Outcome<SubAck> {
                    match self.answer().await? {
                        Acknowledgement::SubAck(suback) => Ok(suback),
                        other => Err(format!("expected SUBACK, got {other:?}")),
                    }
                }

                /// Unsubscribes and waits for the UNSUBACK.
                pub(crate) async fn unsubscribe(&mut self, filter: &str) -> Outcome {
                    self.requests.unsubscribe(filter).await.map_err(|error| error.to_string())?;
                    match self.answer().await? {
                        Acknowledgement::Other(Packet::UnsubAck(..)) => Ok(()),
                        other => Err(format!("expected UNSUBACK, got {other:?}")),
                    }
                }

                /// Publishes and waits for the end of the handshake.
                pub(crate) async fn publish(
                    &mut self,
                    topic: &str,
                    qos: QoS,
                    retain: bool,
                    payload: &[u8],
                ) -> Outcome {
                    let sent = self.requests.publish(topic, qos, retain, payload.to_vec()).await;
                    sent.map_err(|error| error.to_string())?;
                    if qos == QoS::AtMostOnce {
                        return Ok(());
                    }
                    match (qos, self.answer().await?) {
                        (QoS::AtLeastOnce, Acknowledgement::Other(Packet::PubAck(..)))
                        | (QoS::ExactlyOnce, Acknowledgement::Other(Packet::PubComp(..))) => Ok(()),
                        (_, other) => Err(format!("expected PUBACK or PUBCOMP, got {other:?}")),
                    }
                }

                /// The next message.
                pub(crate) async fn message(&mut self) -> Outcome<Publish> {
                    match timeout(DEADLINE, self.messages.recv()).await {
                        Ok(Some(message)) => Ok(message),
                        Ok(None) => Err("the connection ended instead of a message".to_owned()),
                        Err(_) => Err("no message".to_owned()),
                    }
                }

                /// The next message, which must be this one.
                pub(crate) async fn expect(
                    &mut self,
                    topic: &str,
                    qos: QoS,
                    retain: bool,
                    payload: &[u8],
                ) -> Outcome<Publish> {
                    let message = self.message().await?;
                    same("topic", $topic(&message), topic.to_owned())?;
                    same("QoS", message.qos, qos)?;
                    same("retain", message.retain, retain)?;
                    same("payload", &message.payload[..], payload)?;
                    Ok(message)
                }

                /// Nothing came before a message that is published now.
                pub(crate) async fn nothing(&mut self) -> Outcome {
                    let fence = self.context.topic("fence/of/nothing");
                    self.subscribe(&fence, QoS::AtLeastOnce).await?;
                    self.publish(&fence, QoS::AtLeastOnce, false, b"fence").await?;
                    same("topic", $topic(&self.message().await?), fence)
                }

                /// DISCONNECT, and the broker's close.
                pub(crate) async fn disconnect(mut self) -> Outcome {
                    self.requests.disconnect().await.map_err(|error| error.to_string())?;
                    self.ended().await.map(|_| ())
                }

                /// How the connection ended.
                pub(crate) async fn ended(&mut self) -> Outcome<String> {
                    let ended = timeout(DEADLINE, &mut self.task).await;
                    let end = ended.map_err(|_| "the connection did not end".to_owned())?;
                    end.map_err(|error| error.to_string())
                }

                /// Closes the socket without DISCONNECT.
                pub(crate) async fn cut(mut self) {
                    self.task.abort();
                    let _ = (&mut self.task).await;
                }
            }

            impl Drop for Client {
                fn drop(&mut self) {
                    self.task.abort();
                }
            }
        }
    };
}

/// Larger than any packet of the cases; the default is 10 KiB.
const PACKET_BYTES_MAX: usize = 4 << 20;

client!(
    v311,
    rumqttc,
    rumqttc,
    rumqttc::QoS,
    |options| {
        options
            .set_clean_session(true)
            .set_max_packet_size(super::PACKET_BYTES_MAX, super::PACKET_BYTES_MAX);
    },
    |publish: &Publish| publish.topic.clone()
);
client!(
    v5,
    rumqttc::v5,
    rumqttc::v5::mqttbytes::v5,
    rumqttc::v5::mqttbytes::QoS,
    |options| {
        options.set_clean_start(true).set_max_packet_size(Some(super::PACKET_BYTES_MAX as u32));
    },
    |publish: &Publish| String::from_utf8_lossy(&publish.topic).into_owned()
);
