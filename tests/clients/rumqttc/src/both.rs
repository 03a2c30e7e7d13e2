//! The cases that both protocol versions of rumqttc run.

/// Writes the cases for the client of one version.
macro_rules! cases {
    ($version:ident, $name:literal, $qos:path, $will:expr, $keep:expr) => {
        /// The cases in one version.
        pub(crate) mod $version {
            use $qos as QoS;

            use crate::client::$version::{Client, Options, options};
            use crate::{Context, Outcome, Runner, check, same};

            const ALL: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

            /// Runs them one after the other.
            pub(crate) async fn run(runner: &mut Runner) {
                runner.case(concat!("QoS 0, 1 and 2, ", $name), qos).await;
                runner
                    .case(concat!("retained: set, replay, replace, delete, ", $name), retained)
                    .await;
                runner
                    .case(concat!("will: none after DISCONNECT, sent after a drop, ", $name), will)
                    .await;
                runner
                    .case(concat!("session: resumed, with its messages in order, ", $name), session)
                    .await;
                runner.case(concat!("takeover, ", $name), takeover).await;
                runner.case(concat!("wildcards and unsubscribe, ", $name), wildcards).await;
                runner.case(concat!("overlapping subscriptions, ", $name), overlapping).await;
                runner.case(concat!("payload of 1 MiB and an empty one, ", $name), payloads).await;
                runner.case(concat!("$SYS topics, ", $name), sys_topics).await;
                for qos in ALL {
                    let title = format!(
                        "{} messages in order, QoS {}, {}",
                        runner.context.burst, qos as u8, $name
                    );
                    runner.case(&title, |context| burst(context, qos)).await;
                }
            }

            fn keep(options: &mut Options) {
                let keep: fn(&mut Options) = $keep;
                keep(options);
            }

            async fn qos(t: Context) -> Outcome {
                let topic = t.topic("t");
                let (mut sub, mut publisher) =
                    (Client::connect(&t, "sub").await?, Client::connect(&t, "pub").await?);
                sub.subscribe(&topic, QoS::ExactlyOnce).await?;
                for qos in ALL {
                    publisher.publish(&topic, qos, false, b"hello").await?;
                    let message = sub.expect(&topic, qos, false, b"hello").await?;
                    check(!message.dup, "DUP is set")?;
                }
                Ok(())
            }

            async fn retained(t: Context) -> Outcome {
                let topic = t.topic("kept");
                let mut publisher = Client::connect(&t, "pub").await?;
                for payload in [b"one", b"two"] {
                    publisher.publish(&topic, QoS::AtLeastOnce, true, payload).await?;
                    let mut sub = Client::connect(&t, "sub").await?;
                    sub.subscribe(&t.topic("+"), QoS::AtLeastOnce).await?;
                    sub.expect(&topic, QoS::AtLeastOnce, true, payload).await?;
                    sub.disconnect().await?;
                }
                publisher.publish(&topic, QoS::AtLeastOnce, true, b"").await?;
                let mut sub = Client::connect(&t, "sub").await?;
                sub.subscribe(&t.topic("+"), QoS::AtLeastOnce).await?;
                sub.nothing().await
            }

            async fn will(t: Context) -> Outcome {
                let topic = t.topic("will");
                let mut watcher = Client::connect(&t, "watch").await?;
                watcher.subscribe(&topic, QoS::ExactlyOnce).await?;
                for qos in ALL {
                    for clean in [true, false] {
                        let mut options = options(&t, &format!("w{}{clean}", qos as u8));
                        let set: fn(&mut Options, &str, QoS) = $will;
                        set(&mut options, &topic, qos);
                        let client = Client::with(&t, options).await?;
                        if clean {
                            client.disconnect().await?;
                            watcher.nothing().await?;
                        } else {
                            client.cut().await;
                            watcher.expect(&topic, qos, false, b"gone").await?;
                        }
                    }
                }
                let mut later = Client::connect(&t, "later").await?;
                later.subscribe(&topic, QoS::ExactlyOnce).await?;
                later.expect(&topic, QoS::ExactlyOnce, true, b"gone").await?;
                later.publish(&topic, QoS::AtLeastOnce, true, b"").await
            }

            async fn session(t: Context) -> Outcome {
                let topic = t.topic("t");
                let mut persistent = options(&t, "sub");
                keep(&mut persistent);
                let mut sub = Client::with(&t, persistent.clone()).await?;
                check(!sub.connack.session_present, "session present at first")?;
                sub.subscribe(&topic, QoS::ExactlyOnce).await?;
                sub.disconnect().await?;
                let mut publisher = Client::connect(&t, "pub").await?;
                let qos_of = |i: u32| if i < 20 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
                for i in 0..40 {
                    publisher.publish(&topic, qos_of(i), false, i.to_string().as_bytes()).await?;
                }
                let mut sub = Client::with(&t, persistent).await?;
                check(sub.connack.session_present, "no session present")?;
                for i in 0..40 {
                    sub.expect(&topic, qos_of(i), false, i.to_string().as_bytes()).await?;
                }
                sub.disconnect().await?;
                let sub = Client::connect(&t, "sub").await?;
                check(!sub.connack.session_present, "session present after a clean start")
            }

            async fn takeover(t: Context) -> Outcome {
                let topic = t.topic("t");
                let mut first = Client::connect(&t, "same").await?;
                let mut second = Client::connect(&t, "same").await?;
                let end = first.ended().await?;
                // The client reads the reason only where properties follow; else it sees a close.
                let known = ["SessionTakenOver", "ConnectionAborted", "ConnectionReset"];
                check(
                    known.iter().any(|known| end.contains(known)),
                    &format!("the end was {end}"),
                )?;
                second.subscribe(&topic, QoS::AtLeastOnce).await?;
                second.publish(&topic, QoS::AtLeastOnce, false, b"here").await?;
                second.expect(&topic, QoS::AtLeastOnce, false, b"here").await.map(|_| ())
            }

            async fn wildcards(t: Context) -> Outcome {
                let mut client = Client::connect(&t, "c").await?;
                let filters = [t.topic("a/+/c"), t.topic("b/#")];
                for filter in &filters {
                    client.subscribe(filter, QoS::AtLeastOnce).await?;
                }
                for name in ["a/c", "a/b/c/d", "a/b/c", "b", "b/x/y"] {
                    client
                        .publish(&t.topic(name), QoS::AtLeastOnce, false, name.as_bytes())
                        .await?;
                }
                for name in ["a/b/c", "b", "b/x/y"] {
                    client.expect(&t.topic(name), QoS::AtLeastOnce, false, name.as_bytes()).await?;
                }
                for filter in &filters {
                    client.unsubscribe(filter).await?;
                }
                client.publish(&t.topic("b"), QoS::AtLeastOnce, false, b"gone").await?;
                client.nothing().await
            }

            async fn overlapping(t: Context) -> Outcome {
                let mut client = Client::connect(&t, "c").await?;
                client.subscribe(&t.topic("#"), QoS::AtMostOnce).await?;
                client.subscribe(&t.topic("a"), QoS::ExactlyOnce).await?;
                client.publish(&t.topic("a"), QoS::ExactlyOnce, false, b"x").await?;
                client.expect(&t.topic("a"), QoS::ExactlyOnce, false, b"x").await.map(|_| ())
            }

            async fn payloads(t: Context) -> Outcome {
                let topic = t.topic("t");
                let mut client = Client::connect(&t, "c").await?;
                client.subscribe(&topic, QoS::ExactlyOnce).await?;
                let large: Vec<u8> = (0..1u32 << 20).map(|i| (i * 7) as u8).collect();
                for qos in ALL {
                    for payload in [&large[..], b""] {
                        client.publish(&topic, qos, false, payload).await?;
                        let message = client.message().await?;
                        check(message.payload[..] == *payload, "the payload came damaged")?;
                        same("QoS", message.qos, qos)?;
                    }
                }
                Ok(())
            }

            async fn sys_topics(t: Context) -> Outcome {
                let mut client = Client::connect(&t, "c").await?;
                client.subscribe("$SYS/#", QoS::AtMostOnce).await?;
                client.message().await.map(|_| ())
            }

            async fn burst(t: Context, qos: QoS) -> Outcome {
                let topic = t.topic("t");
                let (mut sub, publisher) =
                    (Client::connect(&t, "sub").await?, Client::connect(&t, "pub").await?);
                sub.subscribe(&topic, QoS::ExactlyOnce).await?;
                let (requests, to, count) = (publisher.requests.clone(), topic.clone(), t.burst);
                let publishing = tokio::spawn(async move {
                    for i in 0..count {
                        let sent = requests.publish(to.clone(), qos, false, i.to_string()).await;
                        sent.map_err(|error| error.to_string())?;
                    }
                    Ok(())
                });
                for i in 0..t.burst {
                    sub.expect(&topic, qos, false, i.to_string().as_bytes()).await?;
                }
                publishing.await.map_err(|error| error.to_string())?
            }
        }
    };
}

cases!(
    v311,
    "v3.1.1",
    rumqttc::QoS,
    |options, topic, qos| {
        let retain = qos == QoS::ExactlyOnce;
        options.set_last_will(rumqttc::LastWill::new(topic, "gone", qos, retain));
    },
    |options| {
        options.set_clean_session(false);
    }
);
cases!(
    v5,
    "v5",
    rumqttc::v5::mqttbytes::QoS,
    |options, topic, qos| {
        let retain = qos == QoS::ExactlyOnce;
        options.set_last_will(rumqttc::v5::mqttbytes::v5::LastWill::new(
            topic, "gone", qos, retain, None,
        ));
    },
    |options| {
        options.set_clean_start(false).set_session_expiry_interval(Some(60));
    }
);
