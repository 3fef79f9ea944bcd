// SPDX-License-Identifier: Apache-2.0

// Command slack stands in for Slack in the inner loop: it takes what the
// notifier posts, prints it, and shows the channel as text at /.
package main

import (
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"time"

	"github.com/plumbline-dev/plumbline/test/slackserver"
)

func main() {
	listen := flag.String("listen", ":8080", "address to serve on")
	channel := flag.String("channel", "ops", "the channel that there is")
	flag.Parse()
	s, err := slackserver.Listen(slackserver.Options{Channels: []string{*channel}, Rate: time.Second})
	if err == nil {
		s.Stored(func(m slackserver.Message) { fmt.Println(slackserver.Plain(m.Text)) })
		err = serve(*listen, s)
	}
	slog.Error("stopped", "error", err)
	os.Exit(1)
}

// serve passes the Web API on and shows the channel.
func serve(listen string, s *slackserver.Server) error {
	handler, err := handler(s)
	if err != nil {
		return err
	}
	server := &http.Server{Addr: listen, Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	return server.ListenAndServe()
}

func handler(s *slackserver.Server) (http.Handler, error) {
	api, err := url.Parse(s.URL())
	if err != nil {
		return nil, err
	}
	api.Path = "" // the request has it
	mux := http.NewServeMux()
	mux.Handle("/api/", httputil.NewSingleHostReverseProxy(api))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprint(w, s)
	})
	return mux, nil
}
