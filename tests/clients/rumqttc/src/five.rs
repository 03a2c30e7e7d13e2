//! The cases about the features of version 5.

use std::collections::BTreeSet;

use rumqttc::v5::mqttbytes::QoS::{self, AtLeastOnce, AtMostOnce, ExactlyOnce};
use rumqttc::v5::mqttbytes::v5::{
    Filter, LastWill, LastWillProperties, Packet, PubAckReason, PublishProperties,
    RetainForwardRule, SubscribeProperties, SubscribeReasonCode, UnsubAckReason,
};

use crate::client::v5::{Acknowledgement, Client, options};
use crate::{Context, Outcome, Runner, check, same};

/// Runs them one after the other.
pub(crate) async fn run(runner: &mut Runner) {
    runner.case("v5: properties of a message", message_properties).await;
    runner.case("v5: assigned client id", assigned_client_id).await;
    runner.case("v5: topic aliases of the publisher", topic_aliases).await;
    runner.case("v5: receive maximum of the subscriber", receive_maximum).await;
    runner.case("v5: maximum packet size of the subscriber", packet_size).await;
    runner.case("v5: shared subscriptions", shared).await;
    runner.case("v5: no local, retain as published, retain handling", subscription_options).await;
    runner.case("v5: will with delay and properties", will_delay).await;
    runner.case("v5: reason codes", reason_codes).await;
    runner.case("v5: versions hear each other", versions).await;
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

fn properties() -> PublishProperties {
    PublishProperties {
        payload_format_indicator: Some(1),
        message_expiry_interval: Some(300),
        response_topic: Some("to/me".to_owned()),
        correlation_data: Some(vec![0, 1].into()),
        user_properties: [("b", "1"), ("a", "2"), ("b", "1")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .to_vec(),
        content_type: Some("text/plain".to_owned()),
        ..PublishProperties::default()
    }
}

async fn message_properties(t: Context) -> Outcome {
    let topic = t.topic("t");
    let mut client = Client::connect(&t, "c").await?;
    let identifier = SubscribeProperties { id: Some(77), user_properties: Vec::new() };
    client
        .requests
        .subscribe_with_properties(&topic, ExactlyOnce, identifier)
        .await
        .map_err(text)?;
    client.suback().await?;
    for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
        client
            .requests
            .publish_with_properties(&topic, qos, false, "x", properties())
            .await
            .map_err(text)?;
        let message = client.expect(&topic, qos, false, b"x").await?;
        if qos != AtMostOnce {
            client.answer().await?;
        }
        let mut got = message.properties.ok_or("no properties")?;
        let left = got.message_expiry_interval.take();
        check(left.is_some_and(|left| (295..=300).contains(&left)), &format!("expiry {left:?}"))?;
        let expected = PublishProperties {
            message_expiry_interval: None,
            subscription_identifiers: vec![77],
            ..properties()
        };
        same("properties", got, expected)?;
    }
    Ok(())
}

async fn assigned_client_id(t: Context) -> Outcome {
    let mut names = BTreeSet::new();
    for _ in 0..2 {
        let mut nameless = options(&t, "");
        nameless.set_client_id(String::new());
        let client = Client::with(&t, nameless).await?;
        let properties = client.connack.properties.clone().ok_or("no properties")?;
        names.insert(properties.assigned_client_identifier.ok_or("no assigned client identifier")?);
    }
    same("names", names.len(), 2)
}

async fn topic_aliases(t: Context) -> Outcome {
    let (mut sub, mut publisher) =
        (Client::connect(&t, "sub").await?, Client::connect(&t, "pub").await?);
    sub.subscribe(&t.topic("#"), AtLeastOnce).await?;
    let alias = PublishProperties { topic_alias: Some(3), ..PublishProperties::default() };
    for name in ["a", "", "", "b", ""] {
        let topic = if name.is_empty() { String::new() } else { t.topic(name) };
        publisher
            .requests
            .publish_with_properties(topic, AtLeastOnce, false, "x", alias.clone())
            .await
            .map_err(text)?;
        publisher.answer().await?;
    }
    for name in ["a", "a", "a", "b", "b"] {
        sub.expect(&t.topic(name), AtLeastOnce, false, b"x").await?;
    }
    Ok(())
}

async fn receive_maximum(t: Context) -> Outcome {
    let topic = t.topic("t");
    let mut small = options(&t, "sub");
    small.set_receive_maximum(Some(2));
    let (mut sub, mut publisher) =
        (Client::with(&t, small).await?, Client::connect(&t, "pub").await?);
    sub.subscribe(&topic, ExactlyOnce).await?;
    for i in 0..60 {
        let qos = if i < 30 { AtLeastOnce } else { ExactlyOnce };
        publisher.publish(&topic, qos, false, i.to_string().as_bytes()).await?;
    }
    for i in 0..60 {
        same("payload", &sub.message().await?.payload[..], i.to_string().as_bytes())?;
    }
    Ok(())
}

async fn packet_size(t: Context) -> Outcome {
    let topic = t.topic("t");
    let mut small = options(&t, "sub");
    small.set_max_packet_size(Some(200));
    let (mut sub, mut publisher) =
        (Client::with(&t, small).await?, Client::connect(&t, "pub").await?);
    sub.subscribe(&topic, ExactlyOnce).await?;
    for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
        publisher.publish(&topic, qos, false, &[b'x'; 300]).await?;
        publisher.publish(&topic, qos, false, b"small").await?;
        sub.expect(&topic, qos, false, b"small").await?;
    }
    Ok(())
}

async fn shared(t: Context) -> Outcome {
    let topic = t.topic("t");
    let mut members = Vec::new();
    for name in ["a", "b"] {
        let mut member = Client::connect(&t, name).await?;
        member.subscribe(&format!("$share/g/{topic}"), AtLeastOnce).await?;
        members.push(member);
    }
    let mut publisher = Client::connect(&t, "pub").await?;
    for i in 0..40 {
        publisher.publish(&topic, AtLeastOnce, false, i.to_string().as_bytes()).await?;
    }
    let (mut b, mut a) = (members.pop().ok_or("b")?, members.pop().ok_or("a")?);
    let mut got = BTreeSet::new();
    for _ in 0..40 {
        let message =
            tokio::select! { message = a.message() => message?, message = b.message() => message? };
        let number = String::from_utf8_lossy(&message.payload).parse::<u32>().map_err(text)?;
        check(got.insert(number), "a message came twice")?;
    }
    same("messages", got, (0..40).collect())
}

async fn subscription_options(t: Context) -> Outcome {
    let topic = t.topic("t");
    let (mut client, mut other) =
        (Client::connect(&t, "c").await?, Client::connect(&t, "other").await?);
    other.publish(&topic, AtLeastOnce, true, b"kept").await?;
    let filter = |nolocal, preserve_retain, retain_forward_rule| Filter {
        path: topic.clone(),
        qos: QoS::AtLeastOnce,
        nolocal,
        preserve_retain,
        retain_forward_rule,
    };
    client
        .requests
        .subscribe_many([filter(true, true, RetainForwardRule::Never)])
        .await
        .map_err(text)?;
    client.suback().await?;
    client.publish(&topic, AtLeastOnce, false, b"own").await?;
    other.publish(&topic, AtLeastOnce, true, b"new").await?;
    client.expect(&topic, AtLeastOnce, true, b"new").await?;
    for round in 0..2 {
        other
            .requests
            .subscribe_many([filter(false, false, RetainForwardRule::OnNewSubscribe)])
            .await
            .map_err(text)?;
        other.suback().await?;
        if round == 0 {
            other.expect(&topic, AtLeastOnce, true, b"new").await?;
        }
    }
    other.nothing().await?;
    other.publish(&topic, AtLeastOnce, true, b"").await
}

async fn will_delay(t: Context) -> Outcome {
    let topic = t.topic("will");
    let mut watcher = Client::connect(&t, "watch").await?;
    watcher.subscribe(&topic, AtLeastOnce).await?;
    let with_will = |name: &str, payload: &str| {
        let mut options = options(&t, name);
        let properties = LastWillProperties {
            delay_interval: Some(1),
            payload_format_indicator: None,
            message_expiry_interval: None,
            content_type: Some("bye".to_owned()),
            response_topic: None,
            correlation_data: None,
            user_properties: vec![
                ("k".to_owned(), "1".to_owned()),
                ("k".to_owned(), "2".to_owned()),
            ],
        };
        options.set_last_will(LastWill::new(
            topic.clone(),
            payload,
            AtLeastOnce,
            false,
            Some(properties),
        ));
        options.set_session_expiry_interval(Some(60));
        options
    };
    Client::with(&t, with_will("late", "late")).await?.cut().await;
    Client::with(&t, with_will("back", "never")).await?.cut().await;
    let mut returning = options(&t, "back");
    returning.set_clean_start(false).set_session_expiry_interval(Some(60));
    let _returned = Client::with(&t, returning).await?;
    let message = watcher.expect(&topic, AtLeastOnce, false, b"late").await?;
    let properties = message.properties.ok_or("no properties")?;
    same("content type", properties.content_type.as_deref(), Some("bye"))?;
    same("user properties", properties.user_properties.len(), 2)?;
    watcher.nothing().await
}

async fn reason_codes(t: Context) -> Outcome {
    let mut client = Client::connect(&t, "c").await?;
    let filters = [("a", AtMostOnce), ("b", ExactlyOnce), ("c", AtLeastOnce)];
    let many = filters.map(|(name, qos)| Filter::new(t.topic(name), qos));
    client.requests.subscribe_many(many).await.map_err(text)?;
    let granted = filters.map(|(_, qos)| SubscribeReasonCode::Success(qos)).to_vec();
    same("SUBACK", client.suback().await?.return_codes, granted)?;
    client.requests.publish(t.topic("nobody"), AtLeastOnce, false, "x").await.map_err(text)?;
    match client.answer().await? {
        Acknowledgement::Other(Packet::PubAck(puback)) => {
            let fine = matches!(
                puback.reason,
                PubAckReason::Success | PubAckReason::NoMatchingSubscribers
            );
            check(fine, &format!("{puback:?}"))?;
        }
        other => return Err(format!("expected PUBACK, got {other:?}")),
    }
    client.requests.unsubscribe(t.topic("never subscribed")).await.map_err(text)?;
    match client.answer().await? {
        Acknowledgement::Other(Packet::UnsubAck(unsuback)) => {
            same("UNSUBACK", unsuback.reasons, vec![UnsubAckReason::NoSubscriptionExisted])
        }
        other => Err(format!("expected UNSUBACK, got {other:?}")),
    }
}

async fn versions(t: Context) -> Outcome {
    let topic = t.topic("t");
    let mut new = Client::connect(&t, "new").await?;
    let mut old = crate::client::v311::Client::connect(&t, "old").await?;
    new.subscribe(&topic, ExactlyOnce).await?;
    old.subscribe(&topic, rumqttc::QoS::ExactlyOnce).await?;
    new.publish(&topic, ExactlyOnce, false, b"new").await?;
    old.expect(&topic, rumqttc::QoS::ExactlyOnce, false, b"new").await?;
    new.expect(&topic, ExactlyOnce, false, b"new").await?;
    old.publish(&topic, rumqttc::QoS::ExactlyOnce, false, b"old").await?;
    new.expect(&topic, ExactlyOnce, false, b"old").await.map(|_| ())
}
