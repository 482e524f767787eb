import{n as e}from"./rolldown-runtime-WkwZ5CU-.js";import{a as t,c as n,d as r,i,l as a,n as o,o as s,r as c,s as l,t as u,u as d}from"./console-nnPuggKN.js";var f=e(r(),1);function p(e,t,n,r=!1){let i=d(),a=o()===`expired`||r,[s,c]=(0,f.useState)(),l=(0,f.useRef)(n);l.current=n;let u=JSON.stringify(t);return(0,f.useEffect)(()=>{if(a)return;c(void 0);let{unsubscribe:t}=i.subscription(e,JSON.parse(u)).subscribe(e=>{e.error&&c(e.error),e.data&&l.current(e.data)});return t},[i,e,u,a]),s}var m=l(),h=u(`
  subscription Traffic {
    traffic(seconds: 1) {
      total { calls refused failed p50Ms p99Ms }
    }
  }
`);function g(){let[e,r]=(0,f.useState)(),o=p(h,{},e=>r(e.traffic));return(0,m.jsxs)(t,{title:`Overview`,children:[(0,m.jsx)(c,{error:o}),(0,m.jsx)(s,{title:`Now`,children:e?(0,m.jsxs)(`dl`,{className:`facts`,children:[(0,m.jsx)(`dt`,{children:`Calls per second`}),(0,m.jsx)(`dd`,{children:n(e.total.calls)}),(0,m.jsx)(`dt`,{children:`Half within`}),(0,m.jsx)(`dd`,{children:a(e.total.p50Ms)})]}):!o&&(0,m.jsx)(i,{})})]})}export{g as default};