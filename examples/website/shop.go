package main

import (
	"cmp"
	"crypto/rand"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/kmq"
	"github.com/kissmetrics-go/kissmetrics/kmq/kmqtest"
)

const apiKey = "example-api-key"

//go:embed art templates static
var files embed.FS

// A product is something that the shop sells.
type product struct {
	SKU, Name, Blurb string
	Price            int // in euros
	Art              template.HTML
}

func products() ([]product, error) {
	all := []product{
		{SKU: "mug", Name: "Stoneware mug", Price: 18, Blurb: "Thrown by hand, glazed in the colour of late summer, and just heavy enough to wake a wrist."},
		{SKU: "kettle", Name: "Swan kettle", Price: 64, Blurb: "Pours a line as thin as a thread, and whistles only when it is asked to."},
		{SKU: "beans", Name: "Sunday beans", Price: 14, Blurb: "Half a pound of coffee, roasted on Fridays, best on Sundays."},
		{SKU: "honey", Name: "Linden honey", Price: 9, Blurb: "From four hives on a roof in the old town."},
		{SKU: "radio", Name: "Kitchen radio", Price: 89, Blurb: "Two knobs, one loudspeaker, no screen, and the weather every half hour."},
		{SKU: "fern", Name: "Window fern", Price: 22, Blurb: "Needs water twice a week, and to be told that it looks well."},
	}
	for i := range all {
		art, err := files.ReadFile("art/" + all[i].SKU + ".svg")
		if err != nil {
			return nil, err
		}
		all[i].Art = template.HTML(art) //nolint:gosec // a file of this program
	}
	return all, nil
}

type user struct{ ID, Email string }

type order struct {
	ID       string
	Product  product
	Quantity int
	Time     time.Time
}

func (o order) Total() int { return o.Quantity * o.Product.Price }

// shop is the web site. What it knows, it forgets when it ends.
type shop struct {
	client   *kissmetrics.Client
	tracking *kissmetricstest.Server
	products []product
	pages    map[string]*template.Template

	mu       sync.Mutex
	users    int
	sessions map[string]user // by the value of the session's cookie
	orders   map[string]order
}

// newShop returns the handler of the shop.
func newShop(client *kissmetrics.Client, tracking *kissmetricstest.Server) (http.Handler, error) {
	s := &shop{
		client: client, tracking: tracking,
		pages:    make(map[string]*template.Template),
		sessions: make(map[string]user), orders: make(map[string]order),
	}
	var err error
	if s.products, err = products(); err != nil {
		return nil, err
	}
	for _, name := range []string{"home", "product", "signup", "order", "known"} {
		s.pages[name], err = template.ParseFS(files, "templates/layout.html", "templates/"+name+".html")
		if err != nil {
			return nil, err
		}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /static/", http.FileServerFS(files))
	mux.Handle("GET /kissmetrics/", kmqtest.Handler(tracking.URL)) // instead of Kissmetrics' own script
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("GET /products/{sku}", s.product)
	mux.HandleFunc("POST /orders", s.buy)
	mux.HandleFunc("GET /orders/{id}", s.order)
	mux.HandleFunc("GET /signup", s.signUpForm)
	mux.HandleFunc("POST /signup", s.signUp)
	mux.HandleFunc("POST /logout", s.logOut)
	mux.HandleFunc("GET /known", s.known)
	return http.NewCrossOriginProtection().Handler(kmq.Middleware(mux)), nil
}

func (s *shop) home(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, "home", view{Title: "Shop", Products: s.products}, kissmetrics.Page{Name: "Shop"})
}

func (s *shop) product(w http.ResponseWriter, r *http.Request) {
	p, ok := s.find(r.PathValue("sku"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	s.render(w, r, "product", view{Title: p.Name, Product: p}, kissmetrics.Track{
		Event:      "Product Viewed",
		Properties: kissmetrics.Properties{"sku": p.SKU, "price": p.Price},
	})
}

func (s *shop) find(sku string) (product, bool) {
	i := slices.IndexFunc(s.products, func(p product) bool { return p.SKU == sku })
	if i < 0 {
		return product{}, false
	}
	return s.products[i], true
}

func (s *shop) buy(w http.ResponseWriter, r *http.Request) {
	p, ok := s.find(r.PostFormValue("sku"))
	quantity, err := strconv.Atoi(r.PostFormValue("quantity"))
	if !ok || err != nil || quantity < 1 || quantity > 3 {
		http.Error(w, "There is no such thing to buy.", http.StatusBadRequest)
		return
	}
	o := order{ID: strings.ToLower(rand.Text()[:8]), Product: p, Quantity: quantity, Time: time.Now()}
	s.mu.Lock()
	s.orders[o.ID] = o
	s.mu.Unlock()
	http.Redirect(w, r, "/orders/"+o.ID, http.StatusSeeOther)
}

// order says what was bought. Its message carries the time of the order, so
// that the order counts once, however often the page is loaded.
func (s *shop) order(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	o, ok := s.orders[r.PathValue("id")]
	s.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	s.render(w, r, "order", view{Title: "Thank you", Order: o}, kissmetrics.Track{
		Event: "Order Completed",
		Properties: kissmetrics.Properties{
			"order_id": o.ID,
			"revenue":  o.Total(),
			"products": []kissmetrics.Properties{{"sku": o.Product.SKU, "price": o.Product.Price, "quantity": o.Quantity}},
		},
		Timestamp: o.Time,
	})
}

func (s *shop) signUpForm(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, "signup", view{Title: "Sign up"}, kissmetrics.Page{Name: "Sign up"})
}

// signUp is what the server tells Kissmetrics itself: that the visitor whom the
// page's script knows by a cookie is a customer from now on.
func (s *shop) signUp(w http.ResponseWriter, r *http.Request) {
	address, err := mail.ParseAddress(r.PostFormValue("email"))
	if err != nil || len(address.Address) > 200 {
		http.Error(w, "That is not an e-mail address.", http.StatusBadRequest)
		return
	}
	token := rand.Text()
	s.mu.Lock()
	s.users++
	u := user{ID: fmt.Sprint("customer-", s.users), Email: address.Address}
	s.sessions[token] = u
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: token, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}) //nolint:gosec // plain http, on this machine

	messages := []kissmetrics.Message{
		kissmetrics.Identify{UserID: u.ID, Traits: kissmetrics.Properties{"email": u.Email}},
		kissmetrics.Track{UserID: u.ID, Event: "Signed Up"},
	}
	if visitor := kmq.FromContext(r.Context()); visitor.AnonymousID != "" && visitor.UserID == "" {
		messages = append(messages, kissmetrics.Alias{UserID: u.ID, PreviousID: visitor.AnonymousID})
	}
	for _, message := range messages {
		if err := s.client.SendMessage(r.Context(), message); err != nil {
			http.Error(w, "Something went wrong.", http.StatusInternalServerError)
			return
		}
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *shop) logOut(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		s.mu.Lock()
		delete(s.sessions, cookie.Value)
		s.mu.Unlock()
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *shop) known(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, "known", view{Title: "What Kissmetrics knows"})
}

const sessionCookie = "session"

// user returns who is logged in, or nobody.
func (s *shop) user(r *http.Request) user {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return user{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[cookie.Value]
}

// A view is what a page shows.
type view struct {
	Title           string
	Products        []product
	Product         product
	Order           order
	User            *user
	Known           *knowledge
	Script, Snippet template.HTML
}

// render writes a page that tells Kissmetrics of the messages.
func (s *shop) render(w http.ResponseWriter, r *http.Request, name string, v view, messages ...kissmetrics.Message) {
	u := s.user(r)
	if u != (user{}) {
		v.User = &u
	}
	v.Known = s.knowledge(kmq.FromContext(r.Context()))
	nonce := rand.Text()
	var err error
	if v.Script, err = script(nonce, u, kmq.FromContext(r.Context()), messages); err == nil {
		v.Snippet, err = kmq.Snippet(kmq.SnippetOptions{APIKey: apiKey, Nonce: nonce, CommonURL: "/kissmetrics", ProductURL: "/kissmetrics"})
	}
	var page strings.Builder
	if err == nil {
		err = s.pages[name].Execute(&page, v)
	}
	if err != nil {
		http.Error(w, "Something went wrong.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store") // it is of one visitor
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-"+nonce+"'; style-src 'self'; img-src 'self' "+
		s.tracking.URL+"; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	_, _ = w.Write([]byte(page.String()))
}

// script returns the commands of a page. Where the page's script takes the
// visitor for somebody else than the shop does, they begin with who it is.
func script(nonce string, u user, visitor kmq.Visitor, messages []kissmetrics.Message) (template.HTML, error) {
	var commands []kmq.Command
	switch {
	case u.ID == "" && visitor.UserID != "":
		commands = append(commands, kmq.Command{Kind: kmq.KindClearIdentity})
	case u.ID != visitor.UserID:
		commands = append(commands, kmq.Command{Kind: kmq.KindIdentify, ID: u.ID})
	}
	for _, message := range messages {
		c, _, err := kmq.Commands(message, kmq.Options{})
		if err != nil {
			return "", err
		}
		commands = append(commands, c...)
	}
	return kmq.Script(nonce, commands...)
}

// knowledge is what the tracking server knows of a person.
type knowledge struct {
	Identities []string
	events     []kissmetricstest.Event
	Properties map[string]string
}

// Latest returns up to n events, the latest first.
func (k *knowledge) Latest(n int) []kissmetricstest.Event {
	latest := slices.Clone(k.events)
	slices.Reverse(latest)
	return latest[:min(n, len(latest))]
}

func (s *shop) knowledge(visitor kmq.Visitor) *knowledge {
	person := cmp.Or(visitor.UserID, visitor.AnonymousID)
	k := &knowledge{s.tracking.Identities(person), s.tracking.Events(person), s.tracking.Properties(person)}
	if len(k.events) == 0 {
		return nil
	}
	return k
}
