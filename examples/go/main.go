// Reads every order of an OMS from Kafka and prints a line for each. Needs franz-go and nothing of the OMS.
//
//	OMS_KAFKA_BOOTSTRAP=127.0.0.1:29092 OMS_GROUP=my-orders go run .
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

const (
	topic      = "oms.orders.order.v1"
	remembered = 100_000
)

// order is what this program wants to know of an OrderPlaced. Fields that it does not name are ignored.
type order struct {
	ID         string            `json:"order_id"`
	Channel    string            `json:"channel"`
	Shop       string            `json:"shop"`
	Number     string            `json:"channel_order_no"`
	Lines      []json.RawMessage `json:"lines"`
	TotalMinor int64             `json:"total_minor"`
	Currency   string            `json:"currency"`
}

// seen remembers the latest event ids. An event may come twice; its id is the same for the same fact, for ever.
// This one forgets when the program ends. Where the work goes to a database, write the id in the same
// transaction: then twice is once, whatever crashes.
type seen struct {
	ids    map[string]struct{}
	oldest []string
}

func (s *seen) add(id string) bool {
	if _, known := s.ids[id]; known {
		return false
	}
	s.ids[id] = struct{}{}
	s.oldest = append(s.oldest, id)
	if len(s.oldest) > remembered {
		delete(s.ids, s.oldest[0])
		s.oldest = s.oldest[1:]
	}
	return true
}

// handle does the work: one line per order.
func handle(record *kgo.Record, seen *seen, out *bufio.Writer) error {
	if record.Value == nil {
		return nil // a tombstone: the key's last record no longer counts
	}
	headers := map[string]string{}
	for _, header := range record.Headers {
		headers[header.Key] = string(header.Value)
	}
	if headers["ce_type"] != "oms.orders.OrderPlaced.v1" {
		return nil // other events of the topic, and types that are not known yet
	}
	if !seen.add(headers["ce_id"]) {
		return nil
	}
	var placed order
	if err := json.Unmarshal(record.Value, &placed); err != nil {
		return fmt.Errorf("partition %d, offset %d: %w", record.Partition, record.Offset, err)
	}
	_, err := fmt.Fprintf(out, "%s %s/%s %s %d lines %d %s\n",
		placed.ID, placed.Channel, placed.Shop, placed.Number, len(placed.Lines), placed.TotalMinor, placed.Currency)
	return err
}

func run(ctx context.Context) error {
	options, err := entry()
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(append(options,
		kgo.SeedBrokers(strings.Split(setting("OMS_KAFKA_BOOTSTRAP", "127.0.0.1:29092"), ",")...),
		kgo.ConsumerGroup(setting("OMS_GROUP", "example-go")),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.SessionTimeout(10*time.Second), // a member that died is noticed after so long
		kgo.BlockRebalanceOnPoll(),         // no partition is taken from us between the work and its commit
	)...)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()

	seen := &seen{ids: map[string]struct{}{}}
	out := bufio.NewWriter(os.Stdout)
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		var failed error
		fetches.EachError(func(_ string, _ int32, err error) { failed = errors.Join(failed, err) })
		fetches.EachRecord(func(record *kgo.Record) { failed = errors.Join(failed, handle(record, seen, out)) })
		if failed = errors.Join(failed, out.Flush()); failed != nil {
			return failed
		}
		// After the work: what a crash interrupts is read again.
		if err := client.CommitUncommittedOffsets(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		client.AllowRebalance()
	}
}

// entry is how the broker lets us in: over TLS, with a certificate of ours, with a login, or just so.
func entry() ([]kgo.Opt, error) {
	var options []kgo.Opt
	security := setting("OMS_KAFKA_SECURITY", "PLAINTEXT")
	if strings.HasSuffix(security, "SSL") {
		config := &tls.Config{MinVersion: tls.VersionTLS12} // trusts whom the system trusts, without a file of its own
		if file := os.Getenv("OMS_KAFKA_CA_FILE"); file != "" {
			pem, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			config.RootCAs = x509.NewCertPool()
			config.RootCAs.AppendCertsFromPEM(pem)
		}
		if file := os.Getenv("OMS_KAFKA_CERT_FILE"); file != "" {
			certificate, err := tls.LoadX509KeyPair(file, os.Getenv("OMS_KAFKA_KEY_FILE"))
			if err != nil {
				return nil, err
			}
			config.Certificates = []tls.Certificate{certificate}
		}
		options = append(options, kgo.DialTLSConfig(config))
	}
	if strings.HasPrefix(security, "SASL") {
		user, password := os.Getenv("OMS_KAFKA_USERNAME"), os.Getenv("OMS_KAFKA_PASSWORD")
		switch mechanism := setting("OMS_KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"); mechanism {
		case "PLAIN":
			options = append(options, kgo.SASL(plain.Auth{User: user, Pass: password}.AsMechanism()))
		case "SCRAM-SHA-256":
			options = append(options, kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha256Mechanism()))
		case "SCRAM-SHA-512":
			options = append(options, kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha512Mechanism()))
		default:
			return nil, fmt.Errorf("OMS_KAFKA_SASL_MECHANISM: %s is not known", mechanism)
		}
	}
	return options, nil
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}
