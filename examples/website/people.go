package main

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/mail"
	"strings"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kmq"
)

type user struct{ ID, Email string }

// A session is of one browser, until its user logs out. There may be no user.
type session struct {
	user   user
	orders []order
}

const sessionCookie = "session"

// session returns the session of a request, which is empty where there is none.
func (s *shop) session(r *http.Request) session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[token(r)]
}

// keep changes the session of a request, and gives it a new cookie.
func (s *shop) keep(w http.ResponseWriter, r *http.Request, change func(*session)) {
	next := rand.Text()
	s.mu.Lock()
	current := s.sessions[token(r)]
	delete(s.sessions, token(r))
	change(&current)
	s.sessions[next] = current
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: next, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}) //nolint:gosec // plain http, on this machine
}

func token(r *http.Request) string {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return ""
	}
	return cookie.Value
}

func (s *shop) signUpForm(w http.ResponseWriter, r *http.Request) {
	s.form(w, r, http.StatusOK, "Sign up", "")
}

func (s *shop) logInForm(w http.ResponseWriter, r *http.Request) {
	s.form(w, r, http.StatusOK, "Log in", "")
}

// form is the page on which one signs up or logs in. With a problem, which is
// what was wrong with what was entered, it is no page that was viewed.
func (s *shop) form(w http.ResponseWriter, r *http.Request, status int, title, problem string) {
	p := newPage(status, "form", view{
		Title: title, Text: problem, Email: r.PostFormValue("email"),
		Action: "/" + strings.ToLower(strings.ReplaceAll(title, " ", "")),
	})
	if problem == "" {
		p.messages = []kissmetrics.Message{kissmetrics.Page{Name: title}}
	}
	s.render(w, r, p)
}

func (s *shop) signUp(w http.ResponseWriter, r *http.Request) {
	address, err := mail.ParseAddress(r.PostFormValue("email"))
	if err != nil || len(address.Address) > 200 {
		s.form(w, r, http.StatusBadRequest, "Sign up", "That is not an e-mail address.")
		return
	}
	email := strings.ToLower(address.Address)
	s.mu.Lock()
	_, taken := s.users[email]
	if !taken {
		s.users[email] = user{ID: fmt.Sprint("customer-", len(s.users)+1), Email: email}
	}
	u := s.users[email]
	s.mu.Unlock()
	if taken {
		s.form(w, r, http.StatusConflict, "Log in", "There is a customer with that address already. Is it you?")
		return
	}
	s.welcome(w, r, u, kissmetrics.Identify{UserID: u.ID, Traits: kissmetrics.Properties{"email": u.Email}},
		kissmetrics.Track{UserID: u.ID, Event: "Signed Up"})
}

// logIn believes everybody, for the shop has no passwords.
func (s *shop) logIn(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	u, ok := s.users[strings.ToLower(strings.TrimSpace(r.PostFormValue("email")))]
	s.mu.Unlock()
	if !ok {
		s.form(w, r, http.StatusBadRequest, "Sign up", "There is no customer with that address yet.")
		return
	}
	s.welcome(w, r, u, kissmetrics.Track{UserID: u.ID, Event: "Logged In"})
}

// welcome is what the server tells Kissmetrics itself: who the visitor is from
// now on, whom the page's script knows by a cookie.
func (s *shop) welcome(w http.ResponseWriter, r *http.Request, u user, messages ...kissmetrics.Message) {
	if alias, ok := kmq.FromContext(r.Context()).Alias(u.ID); ok {
		messages = append(messages, alias)
	}
	for _, message := range messages {
		if err := s.client.SendMessage(r.Context(), message); err != nil {
			s.problem(w, r, http.StatusInternalServerError, "Something went wrong", "It is not your fault.")
			return
		}
	}
	s.keep(w, r, func(session *session) {
		if session.user != u && session.user != (user{}) {
			session.orders = nil // of somebody else
		}
		session.user = u
	})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// logOut leaves nothing of the user in the browser: the next page clears what
// the script keeps; see commands.
func (s *shop) logOut(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	delete(s.sessions, token(r))
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode}) //nolint:gosec // plain http, on this machine
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// mail shows the letter that a customer gets, and in it the picture by which
// Kissmetrics hears that it was opened.
func (s *shop) mail(w http.ResponseWriter, r *http.Request) {
	u := s.session(r).user
	if u == (user{}) {
		s.notFound(w, r)
		return
	}
	opened := kissmetrics.NewEvent(u.ID, "Viewed E-mail", time.Time{}, kissmetrics.Text("Campaign", "welcome"))
	beacon, err := kmq.Beacon(opened, kissmetrics.WithAPIKey(apiKey), kissmetrics.WithBaseURL("http://"+r.Host+"/heard/mail"))
	if err != nil {
		s.problem(w, r, http.StatusInternalServerError, "Something went wrong", "It is not your fault.")
		return
	}
	p := newPage(http.StatusOK, "mail", view{Title: "Your inbox", Beacon: beacon, BeaconText: string(beacon)})
	p.messages = []kissmetrics.Message{kissmetrics.Page{Name: "Inbox"}}
	s.render(w, r, p)
}

// commands returns what a page pushes. Where the page's script takes the visitor
// for somebody else than the shop does, it begins with who it is.
func commands(u user, visitor kmq.Visitor, messages []kissmetrics.Message) ([]kmq.Command, error) {
	var all []kmq.Command
	switch {
	case u.ID == "" && visitor.UserID != "":
		all = append(all, kmq.Command{Kind: kmq.KindClearIdentity})
	case u.ID != visitor.UserID:
		all = append(all, kmq.Command{Kind: kmq.KindIdentify, ID: u.ID})
	}
	for _, message := range messages {
		c, _, err := kmq.Commands(message, kmq.Options{Strict: true}) // nothing of ours needs an adjustment
		if err != nil {
			return nil, err
		}
		all = append(all, c...)
	}
	return all, nil
}
